# What xemu does not offer says so, in the way that programs are prepared for.
#@ where = vm
#@ run = node
#@ needs = c/refused-static
$NODE/xemu binfmt install >/dev/null
guest /.guests/c/refused-static >/tmp/refused 2>/tmp/refused-stderr
said() { grep "^$1: " /tmp/refused | cut -d' ' -f"$2"-; }
same "exit" $? 0
for call in ptrace io_uring_setup rseq modify_ldt; do same "$call" "$(said $call 2)" ENOSYS; done
same "seccomp" "$(said 'seccomp filter' 3)" ENOSYS
same "prctl, filter" "$(said 'prctl filter' 3)" EINVAL
same "prctl, strict" "$(said 'prctl strict' 3)" EINVAL
same "goes on" "$(said after 2)" "done"
same "quietly" "$(cat /tmp/refused-stderr)" ""
