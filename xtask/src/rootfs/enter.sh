# Runs in new mount, pid and ipc namespaces: ROOT ro|rw [FROM TO]... -- COMMAND...
# Builds what a program sees and starts it; nothing of it is left when the namespaces end.
set -e
root=$1 mode=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/tmp/work" "$root/tmp/home"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
if [ "$mode" = ro ]; then
    mount -o remount,bind,ro "$root"
fi
exec unshare --root="$root" --wd=/tmp/work -- "$@"
