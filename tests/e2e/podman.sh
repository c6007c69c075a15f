# A user's first minutes: the image is loaded and run once, and from then on amd64 containers start: Debian, FROM scratch with a Go and a musl program, busybox,
# a build with RUN steps. What was registered outlives its image (flag F).
#@ where = vm
#@ long-vm = dozens of containers take minutes in the machine
#@ run = host
#@ needs = go/work rust/marker
podman load -q -i /payload/image.tar >/dev/null; same "load" $? 0
podman load -q -i /payload/debian.tar >/dev/null; same "load Debian" $? 0
amd64 debian true >/tmp/before 2>&1; [ $? != 0 ]; same "before: fails" $? 0
has "before: says" "$(cat /tmp/before)" "format error"
said=$(podman run --rm --privileged xemu:latest --install amd64); same "install" $? 0
has "install: says" "$said" "installing: amd64 OK"
has "install: state" "$said" '"linux/amd64"'
podman rmi -f xemu:latest >/dev/null; same "the image is gone" "$(podman images -q xemu)" ""
same "Debian" "$(amd64 debian bash -c 'echo $(uname -m) $((6 * 7)); seq 3 | sort -rn | tr "\n" " "')" "x86_64 42
3 2 1 "
same "default seccomp profile" "$(amd64 debian sh -c 'grep ^Seccomp: /proc/self/status | tr -d "[:space:]"')" "Seccomp:2"
same "not root, read-only, no privileges" "$(amd64 --read-only --user 1000:1000 --cap-drop all --security-opt no-new-privileges debian sh -c 'id -u; touch /x 2>/dev/null || echo read-only' | tr '\n' ' ')" "1000 read-only "
same "exit code" "$(amd64 debian sh -c 'exit 7'; echo $?)" 7
amd64 debian /etc/passwd >/dev/null 2>&1; same "not a program" $? 126
amd64 debian /missing >/dev/null 2>&1; same "not there" $? 127
# FROM scratch, and a build with RUN steps, a script as entry point and another user.
mkdir scratch build
cp /payload/guests/go/work /payload/guests/rust/marker scratch
printf 'FROM scratch\nCOPY work marker /\nENTRYPOINT ["/marker"]\n' >scratch/Containerfile
podman build -q --platform linux/amd64 -t scratch scratch >/dev/null; same "FROM scratch" $? 0
amd64 scratch >/tmp/marker; same "a musl program" $? 0
# (It gets as far as the shell that it wants to start, which is not there.)
has "a Go program" "$(amd64 --entrypoint /work scratch 2>&1)" "recovered: runtime error: integer divide by zero"
printf '#!/bin/sh\necho "entry $0 $* $(id -un) $(uname -m)"\n' >build/entry; chmod 755 build/entry
cat >build/Containerfile <<'C'
FROM debian
RUN useradd -m someone && echo made >/made && mkdir /links && ln -s /usr/bin/busybox /links/uname && ln -s /usr/bin/busybox /links/sh
RUN ["/bin/bash", "-c", "cp /usr/bin/id /setid && chmod 4755 /setid && test \"$(cat /made)\" = made"]
COPY entry /entry
USER someone
ENTRYPOINT ["/entry", "first"]
C
podman build -q --platform linux/amd64 -t built build >/tmp/built 2>&1; same "build" "$?$([ $? = 0 ] || tail -n 5 /tmp/built)" 0
same "entry point" "$(amd64 built second)" "entry /entry first second someone x86_64"
same "set-user-id" "$(amd64 --entrypoint /setid built -u)" 0
same "busybox by its links" "$(amd64 --entrypoint /links/uname built -m)" x86_64
same "busybox' shell" "$(amd64 --entrypoint /links/sh built -c 'basename /a/b; (cut -c1 /made)' | tr '\n' ' ')" "b m "
same "busybox installs its links" "$(amd64 --entrypoint /bin/sh built -c 'mkdir /tmp/b; busybox --install -s /tmp/b; ls /tmp/b | wc -l | sed "s/.../many/"; readlink /tmp/b/uname' 2>&1 | tr '\n' ' ')" "many /usr/bin/busybox "
# The Dockerfile makes the same of it.
mkdir -p context/linux/arm64; cp /payload/xemu context/linux/arm64/
podman build -q --platform linux/arm64 -f /payload/Dockerfile -t from-file context >/dev/null; same "Dockerfile" $? 0
has "its entry point" "$(podman run --rm from-file --version)" "xemu "
has "uninstall" "$(podman load -q -i /payload/image.tar >/dev/null; podman run --rm --privileged xemu:latest --uninstall qemu-x86_64)" "removed xemu-x86_64"
amd64 debian true >/dev/null 2>&1; [ $? != 0 ]; same "after: fails" $? 0
