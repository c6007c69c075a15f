# In a control group of 64 MiB: ordinary work fits beside the translator, and what takes more dies alone.
#@ where = vm
#@ run = node
$NODE/xemu binfmt install >/dev/null; rm $NODE/xemu
group=/sys/fs/cgroup/small
echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir $group
echo 64M >$group/memory.max; echo 0 >$group/memory.swap.max 2>/dev/null
limited() { sh -c 'echo $$ >"$0/cgroup.procs"; exec chroot "$ROOT" "$@"' $group "$@"; }
export PATH=/usr/bin:/bin
same "a pipe" "$(limited /bin/bash -c 'seq 1000 | sort -rn | head -n 1; for i in 1 2 3; do (echo $i | cat); done | wc -l' 2>&1 | tr '\n' ' ')" "1000 3 "
same "a language" "$(limited /usr/bin/perl -e 'my %h = map { $_ => 1 } 1 .. 20000; print scalar(keys %h), "\n"' 2>&1)" 20000
same "killed none" "$(grep '^oom_kill ' $group/memory.events)" "oom_kill 0"
same "too much" "$(limited /bin/bash -c '/usr/bin/perl -e "my \$x = q(x) x (200 << 20); print 1"; echo $?' 2>/dev/null)" 137
grep -q '^oom_kill [1-9]' $group/memory.events; same "killed one" $? 0
same "and goes on" "$(limited /bin/echo on)" on
echo "peak $(cat $group/memory.peak 2>/dev/null)" >&2
