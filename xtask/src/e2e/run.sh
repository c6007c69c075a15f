# Runs the scripts that /payload/list names, a line each: `guest|node|host STEM SECONDS COMMAND...`. What each wrote and how it ended goes to
# /results/STEM. Every script finds xemu's file and the kernel as if it were the only one: nothing registered, an empty /tmp.
export NODE=/node ROOT=/amd64
guest_environment="PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp/home LC_ALL=C.UTF-8 TZ=UTC TERM=dumb PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0"
while read -r kind stem limit command; do
    mkdir -p "/results/$stem" /node
    mount -t tmpfs -o mode=755 tmpfs /node
    mount -t tmpfs -o mode=1777 tmpfs /amd64/tmp
    mkdir /amd64/tmp/work /amd64/tmp/home
    cp /payload/xemu /node/xemu
    cd /amd64/tmp/work
    read -r start _ </proc/uptime
    case $kind in
    guest)
        /node/xemu binfmt install >/dev/null
        rm /node/xemu
        timeout -s KILL "$limit" chroot /amd64 /usr/bin/env -i $guest_environment /usr/bin/env --chdir=/tmp/work $command
        ;;
    node)
        timeout -s KILL "$limit" sh -c '. /payload/scripts/lib/node.sh && . "/payload/scripts/$1.sh" && report' sh "$stem"
        ;;
    host)
        # The Debian becomes the root of a mount namespace: container runtimes want to be able to leave it.
        timeout -s KILL "$limit" unshare -m sh -c 'cd /host && mount --move . / && exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NODE=/payload ROOT=/nonexistent LC_ALL=C.UTF-8 /bin/bash -c ". /payload/scripts/lib/host.sh && . /payload/scripts/$1.sh && report" bash "$1"' sh "$stem"
        ;;
    esac </dev/null >"/results/$stem/stdout" 2>"/results/$stem/stderr"
    code=$?
    read -r end _ </proc/uptime
    echo "exit $code" >"/results/$stem/end"
    say "$stem: exit $code after $(awk "BEGIN { print $end - $start }") s"
    cd /
    for entry in /proc/sys/fs/binfmt_misc/*; do
        case $entry in */register | */status) ;; *) echo -1 >"$entry" ;; esac
    done
    umount -l /amd64/tmp /node
done </payload/list
