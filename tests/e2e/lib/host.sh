# What host scripts are written with, beside node.sh: podman on a machine without systemd and without networks of its own.
. /payload/scripts/lib/node.sh
# (Without a name of its own the machine is called "(none)", which no protocol of logs can carry.)
echo node >/proc/sys/kernel/hostname; grep -q " node$" /etc/hosts || echo "127.0.0.1 node" >>/etc/hosts
mount -t tmpfs tmpfs /tmp; mkdir -p /root /run/lock /etc/containers
[ -e /proc/sys/fs/binfmt_misc/status ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
cat >/etc/containers/containers.conf <<'C'
[containers]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
C
[ -e /etc/containers/policy.json ] || echo '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
cd /tmp

# amd64 IMAGE COMMAND...: in a container.
amd64() { podman run --rm --platform linux/amd64 "$@"; }

# What containers over the root file system of the workloads are started with, before their command; each may write, and nothing of it is kept.
workloads="--rootfs /workloads:O"

# Registers xemu as users do, and nothing of its image is left.
installed() {
    podman load -q -i /payload/image.tar >/dev/null && podman run --rm --privileged xemu:latest --install amd64 >/dev/null && podman rmi -f xemu:latest >/dev/null
    same "install" $? 0
}

# listening PORT: waits until somebody does.
listening() {
    local round
    for round in {1..300}; do (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.2; done
    return 1
}

# get PATH [PORT]: what a server on this machine answers (the agent, if no port is named), head included.
get() {
    local answer
    exec {answer}<>"/dev/tcp/127.0.0.1/${2:-9467}" || return
    printf 'GET %s HTTP/1.0\r\nHost: here\r\n\r\n' "$1" >&$answer
    cat <&$answer
    exec {answer}<&-
}
