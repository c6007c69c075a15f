# What `xemu doctor` says of a node before and after xemu is registered, beside QEMU's entry, and of its own program.
#@ where = namespace vm
#@ run = node
mount=/proc/sys/fs/binfmt_misc
level() { $NODE/xemu doctor | sed -n "s/^\([a-z]*\) *$1: .*/\1/p"; }
said=$($NODE/xemu doctor); same "before: exit" $? 0
has "before: kernel" "$said" "ok       kernel: $(uname -r)"
has "before: pages" "$said" "ok       page size: 4096 bytes"
has "before: handler" "$said" "warning  handler: none for x86_64 programs"
has "before: advice" "$said" "-> run \`sudo xemu binfmt install\`"
has "before: JSON" "$($NODE/xemu doctor --json | tr -d ' \n')" '"ok":true'
$NODE/xemu doctor --wrong 2>/dev/null; same "options" $? 1
# (Where an emulator runs xemu, a namespace of one's own has no handler for that.)
[ -e $mount/host-aarch64 ] || has "before: F" "$said" "ok       flag F: works: a program ran by a handler whose file was gone"
$NODE/xemu binfmt install --flags F >/dev/null
said=$($NODE/xemu doctor); same "after: exit" $? 0
has "after: handler" "$said" "ok       handler: xemu-x86_64 -> $NODE/xemu (flags F)"
has "after: runs" "$said" 'and saw the processor "xemu virtual CPU"'
# Its own program is xemu's, even if the file is gone since (flag F).
cp $NODE/xemu $NODE/kept; rm $NODE/xemu; mv $NODE/kept $NODE/xemu
has "after: still runs" "$($NODE/xemu doctor)" 'and saw the processor "xemu virtual CPU"'
# Whoever is registered last wins.
cp $NODE/busybox $NODE/other 2>/dev/null || cp /bin/busybox $NODE/other
sleep 0.1
printf '%s' ':qemu-x86_64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/nonexistent/qemu-x86_64:' >$mount/register
said=$($NODE/xemu doctor); same "beside QEMU: exit" $? 1
has "beside QEMU" "$said" "failure  handler: qemu-x86_64 -> /nonexistent/qemu-x86_64 (flags ) was registered after xemu"
$NODE/xemu binfmt install --flags F --replace-qemu >/dev/null
same "QEMU replaced" "$(level handler)" ok
# binfmt_misc switched off as a whole (where the node's own programs do not need it).
if [ ! -e $mount/host-aarch64 ]; then
    echo 0 >$mount/status
    same "switched off: exit" "$($NODE/xemu doctor >/dev/null; echo $?)" 1
    same "switched off" "$(level binfmt_misc)" failure
    echo 1 >$mount/status
fi
