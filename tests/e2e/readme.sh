# README's way to an amd64 container, word for word, by a user of an ARM64 Debian who has sudo and podman: what is registered by root serves containers without root.
#@ where = vm
#@ long-vm = containers of an ordinary user take minutes in the machine
#@ run = host
for part in auth account password session session-noninteractive; do echo "${part%-*} required pam_permit.so" >/etc/pam.d/common-$part; done
useradd -m -s /bin/bash someone; same "user" $? 0
echo "someone ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/someone
echo someone:100000:65536 >/etc/subuid; cp /etc/subuid /etc/subgid
mkdir -p /run/user/1000 /home/someone/xemu/target; cp /payload/image.tar /home/someone/xemu/target/xemu.oci.tar; chown -R someone: /home/someone /run/user/1000
as_user() { setpriv --reuid=1000 --regid=1000 --init-groups --inh-caps=-all env HOME=/home/someone XDG_RUNTIME_DIR=/run/user/1000 USER=someone bash -c "cd ~/xemu && $1"; }
# Debian's image, as if it had been pulled.
as_user "podman load -q -i /payload/debian.tar" >/dev/null; same "load" $? 0
commands=$(sed -n '/^## amd64 containers/,/^## /p' /payload/README.md | sed -n '/^```sh/,/^```/p' | grep -v '^```')
same "three commands" "$(echo "$commands" | wc -l)" 3
has "the first builds the image" "$(echo "$commands" | sed -n 1p)" "cargo xtask image"
third=$(echo "$commands" | sed -n 3p)
as_user "$third" >/dev/null 2>&1; [ $? != 0 ]; same "before: fails" $? 0
said=$(as_user "$(echo "$commands" | sed -n 2p)"); same "the second" $? 0
has "the second: says" "$said" "installing: amd64 OK"
same "the third" "$(as_user "$third")" "$(echo "$third" | sed 's/.*# //')"
# More of what such containers do.
as_amd64() { as_user "podman run --rm --platform linux/amd64 $1"; }
same "root inside, the user outside" "$(as_amd64 'debian sh -c "id -u; cat /proc/self/uid_map"' | tr -s ' \n' ' ')" "0 0 1000 1 1 100000 65536 "
same "files are the user's" "$(mkdir /home/someone/out; chown someone: /home/someone/out; as_amd64 '-v ~/out:/out debian sh -c "touch /out/file"'; stat -c %U /home/someone/out/file)" someone
same "another user inside" "$(as_amd64 '--user 7:7 debian id -u')" 7
mkdir /home/someone/build; printf 'FROM debian\nRUN useradd -m inner && uname -m >/made\nUSER inner\nCMD ["sh", "-c", "id -un; cat /made"]\n' >/home/someone/build/Containerfile; chown -R someone: /home/someone/build
as_user "podman build -q --platform linux/amd64 -t built ~/build" >/dev/null; same "build" $? 0
same "what was built" "$(as_amd64 built | tr '\n' ' ')" "inner x86_64 "
