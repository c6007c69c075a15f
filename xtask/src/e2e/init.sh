#!/bin/sh
# Process 1 of the virtual machine, run by busybox, whose applets are all the tools there are. Disks: vda the amd64 root file system, vdb a raw tar
# archive of what is to run, vdc takes the results, again as a raw tar archive; vdd an arm64
# Debian with podman, vde the root file system of its containers. Lines that begin with [e2e] are for the one who watches.
export PATH=/nonexistent
say() { read -r up _ </proc/uptime; echo "[e2e] $* (at $up s)"; }
# The shell finds its applets by /proc.
/bin/busybox mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm && mount -t devpts pts /dev/pts && mount -t tmpfs shm /dev/shm
# In no order: what needs another module waits for the next round.
for round in 1 2 3 4; do
    for module in /modules/*.ko; do
        if [ -e "$module" ] && insmod "$module" 2>/dev/null; then rm "$module"; fi
    done
done
[ -z "$(ls /modules)" ] || say "not loaded: $(ls /modules)"
say "kernel $(uname -r), pages of $(awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps) KiB"
mount -t cgroup2 none /sys/fs/cgroup
mkdir /payload /results /amd64 /tmp
tar -xf /dev/vdb -C /payload || say "no payload"
if [ -e /dev/vda ] && mount -t ext4 /dev/vda /amd64; then
    rmdir /amd64/lost+found
    mount -t proc proc /amd64/proc && mount --rbind /dev /amd64/dev && mount -t tmpfs -o mode=1777 tmpfs /amd64/tmp
    mount --bind /payload/scripts /amd64/.cases && mount --bind /payload/guests /amd64/.guests
    mount -o remount,ro /amd64
fi
# A Debian that runs containers, if one is there.
if [ -e /dev/vdd ]; then
    mkdir /host && mount -t ext4 /dev/vdd /host && mkdir -p /host/payload /host/sys
    mount -t proc proc /host/proc && mount --rbind /sys /host/sys && mount --rbind /dev /host/dev && mount -t tmpfs tmpfs /host/run && mount --bind /payload /host/payload
    if [ -e /dev/vde ]; then mkdir /host/workloads && mount -t ext4 /dev/vde /host/workloads; fi
fi
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
ip link set lo up
say "ready"
. /payload/run.sh
tar -cf /dev/vdc -C /results .
sync
say "done"
poweroff -f
