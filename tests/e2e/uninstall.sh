# What `xemu binfmt` does: registers once however often it is called, says so, and takes itself away again.
#@ where = namespace vm
#@ run = node
#@ needs = rust/marker
marker=/.guests/rust/marker
before=$(guest $marker 2>&1); before_rc=$?
has "status before" "$($NODE/xemu binfmt status)" "xemu-x86_64: not registered"
has "install" "$($NODE/xemu binfmt install --flags F)" "registered xemu-x86_64"
has "registered" "$(cat /proc/sys/fs/binfmt_misc/xemu-x86_64)" "flags: F"
emulated=$(guest $marker); same "runs" $? 0
[ "$emulated" != "$before" ]; same "is emulated" $? 0
has "install again" "$($NODE/xemu binfmt install --flags F)" "registered xemu-x86_64"
same "entries" "$(ls /proc/sys/fs/binfmt_misc | grep -c xemu)" 1
same "still runs" "$(guest $marker)" "$emulated"
has "status after" "$($NODE/xemu binfmt status)" "xemu-x86_64: enabled"
cp $NODE/xemu $NODE/kept && rm $NODE/xemu
same "runs without its file" "$(guest $marker)" "$emulated"
has "uninstall" "$($NODE/kept binfmt uninstall)" "removed xemu-x86_64"
same "nothing left" "$(ls /proc/sys/fs/binfmt_misc | grep -c xemu)" 0
after=$(guest $marker 2>&1); same "as before" "$after, $?" "$before, $before_rc"
has "uninstall again" "$($NODE/kept binfmt uninstall)" "is not registered"
