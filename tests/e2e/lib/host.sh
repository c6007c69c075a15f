# What host scripts are written with, beside node.sh: podman on a machine without systemd and without networks of its own.
. /payload/scripts/lib/node.sh
mount -t tmpfs tmpfs /tmp; mkdir -p /root /run/lock /etc/containers
[ -e /proc/sys/fs/binfmt_misc/status ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
cat >/etc/containers/containers.conf <<'C'
[containers]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
C
[ -e /etc/containers/policy.json ] || echo '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
cd /tmp

# amd64 IMAGE COMMAND...: in a container.
amd64() { podman run --rm --platform linux/amd64 "$@"; }

# get PATH: what the agent on this machine answers, head included.
get() {
    exec 9<>/dev/tcp/127.0.0.1/9467 || return
    printf 'GET %s HTTP/1.1\r\nHost: here\r\n\r\n' "$1" >&9
    cat <&9
    exec 9<&-
}
