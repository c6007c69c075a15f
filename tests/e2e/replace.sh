# Beside a registration of QEMU's: it is disabled when asked for, and comes back with the uninstallation.
#@ where = namespace vm
#@ run = node
#@ needs = rust/marker
mount=/proc/sys/fs/binfmt_misc
cp "$ROOT/usr/bin/true" $NODE/other
printf '%s' ':qemu-x86_64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/nonexistent/qemu-x86_64:' >$mount/register
state() { head -n 1 $mount/$1; }
same "before" "$(state qemu-x86_64)" enabled
has "beside it" "$($NODE/xemu binfmt install --flags F)" "qemu-x86_64 is registered too"
same "the newest wins" "$(guest /bin/sh -c 'echo $0')" /bin/sh
has "status" "$($NODE/xemu binfmt status)" "qemu-x86_64: enabled"
has "instead of it" "$($NODE/xemu binfmt install --flags F --replace-qemu)" "disabled qemu-x86_64"
same "disabled" "$(state qemu-x86_64)" disabled
guest /.guests/rust/marker >/dev/null; same "runs" $? 0
has "installed again" "$($NODE/xemu binfmt install --flags F --replace-qemu)" "registered"
same "still disabled" "$(state qemu-x86_64)" disabled
has "uninstall" "$($NODE/xemu binfmt uninstall)" "enabled qemu-x86_64 again"
same "enabled" "$(state qemu-x86_64)" enabled
same "gone" "$(ls $mount | grep -c xemu)" 0
