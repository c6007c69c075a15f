# fork, exec and wait in an emulated shell's loop take little longer than as many starts of the same program by a program that is not emulated: beside a start, forking an emulated process is cheap.
# Like is compared with like: bash and busybox's sh fork, dash and busybox's xargs vfork (in an emulated machine what a vforked child starts has been seen to be slower than what a forked one does, also when nothing else is emulated).
# Measured in turns, the shortest of seven each, since other work on the machine only ever adds.
#@ where = vm
#@ long-vm = measures for minutes
#@ run = node
#@ limit = 1200
$NODE/xemu binfmt install >/dev/null; install_tools
loop='read -r a _ </proc/uptime; n=0; while [ $n -lt 16 ]; do /usr/bin/true; n=$((n + 1)); done; read -r b _ </proc/uptime; echo $a $b'
xargs='read -r a _ </proc/uptime; /tmp/native/busybox seq 16 | /tmp/native/busybox xargs -n 1 /usr/bin/true; read -r b _ </proc/uptime; echo $a $b'
timed() { local who=$1; shift; guest "$@" | awk -v who="$who" '{ print who, int(($2 - $1) * 100 + 0.5) }'; }
for round in 1 2 3 4 5 6 7; do
    timed sh /tmp/native/sh -c "$loop"; timed bash /usr/bin/bash -c "$loop"; timed xargs /tmp/native/sh -c "$xargs"; timed dash /usr/bin/dash -c "$loop"
done >/tmp/times
all() { awk -v who="$1" '$1 == who { print $2 }' /tmp/times | sort -n | tr '\n' ' '; }
for pair in "bash sh" "dash xargs"; do
    set -- $pair
    emulated=$(all $1) native=$(all $2)
    same "$1 takes at most 1.3 times as long as $2" "$([ $((${emulated%% *} * 10)) -le $((${native%% *} * 13)) ] || echo "hundredths of a second: $emulated against $native")" ""
    echo "hundredths of a second: $1 $emulated, $2 $native" >&2
done
