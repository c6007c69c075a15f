# Runs in new mount, pid, ipc, uts, network and control group namespaces: SUITE [FILE]... -- COMMAND...
# Tests of system calls set clocks, load modules, swap, change the kernel's settings and write to disks: here they find no disk
# but the files behind $LTP_DEV (theirs) and $FILES (for /tmp), a read-only /proc/sys and /sys, and lack the capabilities for what no namespace holds back.
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/suite /mnt/tools /mnt/dev
mount --bind "$1" /mnt/suite
mount -o remount,bind,ro /mnt/suite
shift
zcat /proc/config.gz > /mnt/config 2> /dev/null || : > /mnt/config
while [ "$1" != -- ]; do
    cp "$1" /mnt/tools
    shift
done
shift
# No tmpfs for the tests' own files: it lacks leases, extents and more.
mkfs.ext4 -q "$FILES"
mount -t ext4 "$FILES" /tmp
chmod 1777 /tmp
for device in null zero full random urandom tty; do
    touch /mnt/dev/$device
    mount --bind /dev/$device /mnt/dev/$device
done
if [ -n "$LTP_DEV" ]; then
    touch "/mnt$LTP_DEV"
    mount --bind "$LTP_DEV" "/mnt$LTP_DEV"
fi
mkdir /mnt/dev/pts /mnt/dev/shm /mnt/dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /mnt/dev/pts
ln -s pts/ptmx /mnt/dev/ptmx
ln -s /proc/self/fd /mnt/dev/fd
mount -t tmpfs -o mode=1777 tmpfs /mnt/dev/shm
mount -t mqueue mqueue /mnt/dev/mqueue
mount --rbind /mnt/dev /dev
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -o remount,bind,ro /sys
mkdir /tmp/work
cd /tmp/work
ip link set lo up
# Not by exec: a test must not be process 1, which gets no unhandled signals and every orphan.
setpriv --bounding-set -sys_time,-sys_boot,-sys_module,-syslog,-sys_rawio,-mknod -- "$@"
exit $?
