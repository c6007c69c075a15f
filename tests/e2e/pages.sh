# A kernel with pages of 16 KiB: xemu, whose guests have pages of 4096 bytes, says that it can't run them, and never tries.
#@ where = vm
#@ run = node
#@ kernel = arm64-16k
#@ long-vm = it boots a machine of its own
#@ needs = c/hello-static
has "the kernel is such" "$(awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps)" 16
line="xemu: this host has pages of 16384 bytes; only 4096 are supported"
said=$($NODE/xemu "$ROOT/.guests/c/hello-static" 2>&1); same "as a command: exit" $? 126
same "as a command" "$said" "$line"
has "the version" "$($NODE/xemu --version)" xemu
has "install" "$($NODE/xemu binfmt install)" "registered xemu-x86_64"
said=$(guest /.guests/c/hello-static 2>&1); same "by the kernel: exit" $? 126
same "by the kernel" "$said" "$line"
has "uninstall" "$($NODE/xemu binfmt uninstall)" "removed xemu-x86_64"
has "doctor" "$($NODE/xemu doctor)" "failure  page size: 16384 bytes"
$NODE/xemu doctor >/dev/null; same "doctor: exit" $? 1
