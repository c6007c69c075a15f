# What containers do inside: gain privileges by sudo and ping, make namespaces and containers of their own, have an init, die of their memory limit, tell their health.
# Threads: moby/qemu#7, multiarch/qemu-user-static#17, containers/podman#20443, orbstack#2655
#@ where = vm
#@ long-vm = dozens of containers take minutes in the machine
#@ run = host
#@ root = workloads
#@ limit = 1800
installed
run() { podman run --rm "$@"; }
words() { tr -s ' \n' ' '; }
# A user that may do all by sudo; the rest of what maintainer scripts make.
cat >user <<'S'
for part in auth account password session session-noninteractive; do echo "${part%-*} required pam_permit.so" >/etc/pam.d/common-$part; done
useradd -m someone && echo "someone ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/someone
as() { setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all "$@"; }
S
inside() { run -v /tmp/user:/user:ro "${@:2}" $workloads bash -c ". /user; $1"; }
same "sudo" "$(inside 'as sudo sh -c "id -u; echo \$SUDO_USER"; as sudo -u nobody id -un; as id -u' | words)" "0 someone nobody 1000 "
has "sudo without new privileges" "$(inside 'as sudo id -u' --security-opt no-new-privileges 2>&1)" '"no new privileges" flag is set'
echo "1 0" >/proc/sys/net/ipv4/ping_group_range
same "ping without rights" "$(inside 'as ping -c 1 127.0.0.1 >/dev/null 2>&1; echo $?')" 2
has "ping, set-user-id" "$(inside 'chmod u+s /usr/bin/ping; as ping -c 2 -i 0.2 127.0.0.1' --cap-add net_raw 2>&1)" "2 received"
has "ping by a file's capability" "$(inside 'setcap cap_net_raw+ep /usr/bin/ping && as ping -c 1 127.0.0.1' --cap-add net_raw 2>&1)" "1 received"
echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range
has "ping by its group" "$(inside 'as ping -c 1 127.0.0.1' 2>&1)" "1 received"
# Namespaces and a container in a container: Debian's amd64 runtime starts an amd64 program from a root file system of one file.
same "a user namespace without privileges" "$(run $workloads unshare -r id -u)" 0
same "namespaces" "$(run --privileged $workloads unshare -Urmpf --mount-proc sh -c 'id -u; echo $$; mkdir -p /mnt; mount -t tmpfs none /mnt && ls -A /mnt | wc -l; uname -m' 2>&1 | words)" "0 1 0 x86_64 "
cat >nested <<'S'
mkdir -p /tmp/bundle/rootfs/bin; cp /usr/bin/busybox /tmp/bundle/rootfs/bin/sh; cd /tmp/bundle; crun spec
sed -i 's/"terminal": true/"terminal": false/; s|^\([[:space:]]*\)"sh"$|\1"/bin/sh", "-c", "echo $$ $(uname -m) $(hostname) $(ls / \| wc -l); exit 3"|' config.json
crun --cgroup-manager=disabled run inner; echo "exit $?"
S
mkdir -p mnt; mount -t tmpfs tmpfs mnt
same "a container in a container" "$(run --privileged -v /tmp/mnt:/tmp -v /tmp/nested:/nested:ro $workloads sh /nested 2>&1 | words)" "1 x86_64 crun 4 exit 3 "
# An init that takes in orphans and hands signals on.
podman run -d --name init $workloads tini -- sh -c 'trap "exit 5" TERM; (sleep 0.2 &); while :; do sleep 0.1; done' >/dev/null; sleep 4
same "orphans are taken in" "$(podman exec init sh -c 'grep -hs "^State.*zombie" /proc/[0-9]*/status | wc -l')" 0
podman stop -t 30 init >/dev/null; same "signals are handed on" "$(podman inspect -f '{{.State.ExitCode}}' init)" 5
# Limits.
same "a read-only root" "$(run --read-only --read-only-tmpfs=false $workloads sh -c 'touch /etc/x /tmp/x 2>&1 | grep -c "Read-only file system"')" 2
run -m 96m --memory-swap 96m $workloads perl -e 'my $x = q(x) x (300 << 20); print length $x' >/dev/null 2>&1; same "too much memory" $? 137
same "enough memory" "$(run -m 96m --memory-swap 96m $workloads perl -e 'my $x = q(x) x (8 << 20); print length $x')" 8388608
same "few processes" "$(run --pids-limit 40 $workloads bash -c 'for n in {1..60}; do sleep 30 & done' 2>&1 | grep -c 'fork: .*Resource temporarily unavailable' | sed 's/^[1-9].*/refused/')" refused
# Health.
podman run -d --name health --health-cmd 'test -e /tmp/fine && uname -m | grep x86_64' --health-interval disable --health-retries 1 $workloads sleep infinity >/dev/null
podman healthcheck run health >/dev/null 2>&1; same "not healthy" "$?$(podman inspect -f '{{.State.Health.Status}}' health)" 1unhealthy
podman exec health touch /tmp/fine; podman healthcheck run health >/dev/null 2>&1; same "healthy" "$?$(podman inspect -f '{{.State.Health.Status}}' health)" 0healthy
podman rm -f -t 1 health init >/dev/null
