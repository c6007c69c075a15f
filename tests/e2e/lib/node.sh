# What node scripts are written with. $NODE is the folder that holds xemu (and nothing of it once `forget` has run), $ROOT the amd64 root file
# system. The shell is busybox's: its applets are the tools of the node, and they are never translated.
passed=0 failed=0

# same WHAT GOT WANT: one check.
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok - $1"
    else
        failed=$((failed + 1))
        echo "not ok - $1: got '$2', expected '$3'"
    fi
}

# has WHAT TEXT PART: one check, that TEXT holds PART.
has() {
    case $2 in
    *"$3"*) same "$1" "" "" ;;
    *) same "$1" "$2" "*$3*" ;;
    esac
}

# await WORD FILE: until the file holds the word.
await() {
    local round=0
    while ! grep -q "$1" "$2" && [ $((round += 1)) -lt 600 ]; do sleep 0.1; done
}

# guest COMMAND...: inside the root file system.
guest() { PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin chroot "$ROOT" "$@"; }

# guest_as ID COMMAND...: the same as another user, without capabilities.
guest_as() {
    local id=$1
    shift
    guest /usr/bin/setpriv --reuid="$id" --regid="$id" --clear-groups --inh-caps=-all "$@"
}

report() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# Puts the node's own tools where programs in the root file system see them: /tmp/native/busybox, and a shell. (Only a virtual machine needs it.)
install_tools() {
    mkdir "$ROOT/tmp/native"
    cp /bin/busybox "$ROOT/tmp/native/busybox"
    ln "$ROOT/tmp/native/busybox" "$ROOT/tmp/native/sh"
}

# direct_as USER COMMAND...: as a user that the root file system knows, started by a program that is not emulated.
direct_as() {
    local user=$1
    shift
    chroot "$ROOT" /tmp/native/busybox su -p -s /tmp/native/sh "$user" -c "$*"
}
