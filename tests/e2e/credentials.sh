# A program with the set-user-id bit keeps the caller's identity without flag C: the kernel ignores the bit then, and so does xemu when it executes
# such a program for a guest.
#@ where = namespace
#@ run = node
cp "$ROOT/usr/bin/id" "$ROOT/tmp/id"; chown 0:0 "$ROOT/tmp/id"; chmod 4755 "$ROOT/tmp/id"
$NODE/xemu binfmt install --flags F >/dev/null
same "as root" "$(guest /tmp/id -u)" 0
# (Without the right to be another user this node can't try it.)
if [ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ]; then
    same "directly" "$(guest_as 1000 /tmp/id -u)" 1000
    same "by a guest" "$(guest_as 1000 /bin/sh -c '/tmp/id -u; /tmp/id -ru' | tr '\n' ' ')" "1000 1000 "
    chmod 711 "$ROOT/tmp/id"
    guest_as 1000 /tmp/id -u >/dev/null 2>&1; same "not readable" $? 126
fi
