# The least that a container must do: the image is loaded and run once, removed, and an amd64 Debian starts (flag F), with a container runtime's default profile.
# podman.sh and kubernetes.sh have the rest.
# Thread: ptitSeb/box64#879
#@ where = vm
#@ run = host
podman load -q -i /payload/image.tar >/dev/null; same "load" $? 0
podman load -q -i /payload/debian.tar >/dev/null; same "load Debian" $? 0
has "install" "$(podman run --rm --privileged xemu:latest --install amd64)" "installing: amd64 OK"
podman rmi -f xemu:latest >/dev/null; same "the image is gone" "$(podman images -q xemu)" ""
same "Debian" "$(amd64 debian sh -c 'uname -m; grep ^Seccomp: /proc/self/status | tr -d "[:space:]"' | tr '\n' ' ')" "x86_64 Seccomp:2"
