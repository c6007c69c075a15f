# An emulated program that makes namespaces, as containers' tools do.
# Thread: AOSC-Dev/aosc-os-abbs#9090
#@ where = vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = node
$NODE/xemu binfmt install >/dev/null; rm $NODE/xemu
# (Not in a chroot: the kernel makes no user namespaces there. So the root file system becomes the root of a mount namespace.)
whole() {
    local user=$1
    shift
    unshare -m sh -c 'user=$1; shift; cd "$ROOT" && mount --move . / && exec env PATH=/usr/bin:/usr/sbin chroot . /usr/bin/setpriv --reuid="$user" --regid="$user" --clear-groups "$@"' sh "$user" "$@"
}
same "users, pids, mounts" "$(whole 0 unshare -Urmpf --mount-proc sh -c 'id -u; echo $$; ls /proc | grep -c "^[0-9]*$"; cat /proc/self/uid_map | tr -s " "' 2>&1 | tr '\n' ' ')" "0 1 3  0 0 1 "
same "as another user" "$(whole 1000 unshare -Ur sh -c 'id -u; cat /proc/self/setgroups' 2>&1 | tr '\n' ' ')" "0 deny "
same "host name" "$(whole 0 unshare -u sh -c 'hostname inside 2>/dev/null || echo inside >/proc/sys/kernel/hostname; uname -n')" inside
same "file system" "$(whole 0 unshare -m busybox sh -c 'mount -t tmpfs none /tmp && echo there >/tmp/file && cat /tmp/file; chroot / /bin/echo rooted' 2>&1 | tr '\n' ' ')" "there rooted "
same "network" "$(whole 0 unshare -n sh -c 'grep -c : /proc/net/dev')" 1
same "process 1 ends the rest" "$(whole 0 unshare -pf --kill-child sh -c 'sleep 60 & sleep 60 & echo over' 2>&1)" over
same "enter" "$(whole 0 unshare -uf sh -c 'echo other >/proc/sys/kernel/hostname; sleep 60 & nsenter -t $! -u uname -n; kill $!' 2>&1)" other
# Root of its own without /proc: xemu is still found for the next program.
mkdir -p "$ROOT/tmp/bare"; cp "$ROOT/usr/bin/busybox" "$ROOT/tmp/bare/busybox"
same "no /proc" "$(guest /usr/sbin/chroot /tmp/bare /busybox sh -c '/busybox echo one; /busybox sh -c "/busybox echo two"' 2>&1 | tr '\n' ' ')" "one two "
# A program's own file is the program, also where it is bound elsewhere (crun protects itself so).
same "its own file, bound" "$(whole 0 unshare -m busybox sh -c 'busybox touch /tmp/own && busybox mount --bind /proc/self/exe /tmp/own && busybox cmp /tmp/own /usr/bin/busybox && echo same' 2>&1)" same
same "its own file, as a tree" "$(whole 0 perl -e 'my $path = "/proc/self/exe"; my $fd = syscall(428, -100, $path, 0); print((stat "/proc/self/fd/$fd")[1] == (stat "/usr/bin/perl")[1] ? "same" : "other $fd $!")' 2>&1)" same
