# Process 1 of the namespaces that outer.sh makes: TOOLS ROOT FLAGS [FROM TO]... -- COMMAND...
# Prepares a node with its own binfmt_misc, and starts COMMAND inside ROOT (FLAGS are those of xemu's registration; `native`: none), or as
# shell text on the node (`none`: nothing is registered yet). From the moment when x86_64 is registered every unmarked x86_64 program of these namespaces is
# translated, this shell's tools included: it is the last step, and what follows runs by marked copies.
set -e
tools=$1 root=$2 flags=$3
shift 3
mount --make-rprivate /
mount -t proc proc /proc
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
mount -o remount,bind,ro "$root"
if [ "$flags" = native ]; then
    exec unshare --root="$root" --wd=/tmp/work -- "$@"
fi
binfmt=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc none "$binfmt"
# Nothing of what is registered is left on disk when programs run.
mount -t tmpfs -o mode=755 tmpfs "$tools/node"
cp "$tools/busybox" "$tools/xemu" "$tools/node/"
ln "$tools/node/xemu" "$tools/node/xemu-binfmt-P" 2>/dev/null || cp "$tools/xemu" "$tools/node/xemu-binfmt-P"
if [ -e "$tools/qemu" ]; then
    # The machine is not ARM64: its own emulator runs xemu. O: the chroot does not hold xemu, so the kernel hands it over open.
    host_flags=FO
    case $flags in *P*) host_flags=FOP ;; esac
    printf '%s' ':host-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:'"$tools/qemu:$host_flags" >"$binfmt/register"
fi
export NODE="$tools/node" ROOT="$root"
busybox=$NODE/busybox
if [ "$flags" = none ]; then
    # Its applets are all the tools there are; none is looked for on disk.
    exec "$busybox" env PATH=/nonexistent "$busybox" sh -c 'cd "$ROOT/tmp/work" && eval "$1"' sh "$1"
fi
path=$NODE/xemu
# An emulated host does not pass AT_FLAGS on: there the file's name tells of P.
case $flags in *P*) path=$NODE/xemu-binfmt-P ;; esac
"$NODE/xemu" binfmt install --flags "$flags" --path "$path" >/dev/null
"$busybox" rm "$NODE/xemu" "$NODE/xemu-binfmt-P"
unset NODE ROOT
exec "$tools/unshare" --root="$root" --wd=/tmp/work -- "$@"
