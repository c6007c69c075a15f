# A kernel with pages of 16 KiB: xemu, whose guests have pages of 4096 bytes, says that it can't run them, never tries, and leaves another emulator's entry alone.
#@ where = vm
#@ run = node
#@ kernel = arm64-16k
#@ long-vm = it boots a machine of its own
#@ needs = c/hello-static
mount=/proc/sys/fs/binfmt_misc
has "the kernel is such" "$(awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps)" 16
line="xemu: this host has pages of 16384 bytes; only 4096 are supported"
said=$($NODE/xemu "$ROOT/.guests/c/hello-static" 2>&1); same "as a command: exit" $? 126
same "as a command" "$said" "$line"
has "the version" "$($NODE/xemu --version)" xemu
# No way to install it registers anything, or puts out what may work.
magic=':M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:'
printf '%s' ":qemu-x86_64$magic/bin/busybox:F" >$mount/register
for way in "install" "install --replace-qemu" "install --replace-qemu --copy-to $NODE/copies" "--install amd64" "--install all"; do
    said=$($NODE/xemu binfmt $way 2>&1); same "binfmt $way: exit" $? 1
    has "binfmt $way" "$said" "${line#xemu: }: nothing was registered or replaced"
done
same "nothing is registered" "$(ls $mount | grep -c xemu)" 0
has "QEMU's entry is as it was" "$(cat $mount/qemu-x86_64)" enabled
echo -1 >$mount/qemu-x86_64
# Registered all the same, by hand or by binfmt.d.
printf '%s' ":xemu-x86_64$magic$NODE/xemu:POCF" >$mount/register
for round in 1 2 3; do
    said=$(guest /.guests/c/hello-static 2>&1); same "by the kernel, $round: exit" $? 126
    same "by the kernel, $round" "$said" "$line"
done
has "what is linked dynamically" "$(guest /bin/true 2>&1)" "$line"
said=$($NODE/xemu agent --check); same "agent: exit" $? 1
has "agent" "$said" "not ready: an x86_64 program does not run"
said=$($NODE/xemu doctor); same "doctor: exit" $? 1
has "doctor" "$said" "failure  page size: 16384 bytes"
has "doctor: advice" "$said" "-> boot a kernel with 4 KiB pages"
has "doctor: JSON" "$($NODE/xemu doctor --json | tr -d ' \n')" '"ok":false'
has "uninstall" "$($NODE/xemu binfmt uninstall)" "removed xemu-x86_64"
