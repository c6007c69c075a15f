# Installed from a container of our image that is gone afterwards, by the options of the image tonistiigi/binfmt: xemu mounts binfmt_misc itself, and what is
# registered stays.
#@ where = vm
#@ run = node
#@ needs = rust/marker
mkdir $NODE/image; tar -xf /payload/image.tar -C $NODE/image
# What a container runtime does: the layer, a /proc of its own, the entry point that the configuration names.
part() { sed -n 's/.*"'"$1"'":\["\([^]]*\)"\].*/\1/p' "$2" | sed 's/","/ /g'; }
unpack() { mkdir -p $NODE/container/proc; tar -xf "$NODE/image/$(part Layers $NODE/image/manifest.json)" -C $NODE/container; }
unpack
entry=$(part Entrypoint "$NODE/image/$(sed 's/.*"Config":"\([^"]*\).*/\1/' $NODE/image/manifest.json)")
same "entry point" "$entry" "/usr/bin/xemu binfmt"
contained() { unshare -mpf sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' $NODE/container $entry "$@"; }
has "before" "$(contained | tr -d ' \n')" '"emulators":[],"supported":["linux/arm64"]'
has "version" "$(contained --version)" xemu
has "install" "$(contained --install amd64 | tr -d ' \n')" '"emulators":["xemu-x86_64"]'
has "flags" "$(cat /proc/sys/fs/binfmt_misc/xemu-x86_64)" "flags: POCF"
rm -r $NODE/container/usr
guest /.guests/rust/marker >/dev/null; same "runs after the container is gone" $? 0
unpack
has "unknown architecture" "$(contained --install riscv64 2>&1)" "only for amd64"
has "uninstall" "$(contained --uninstall xemu-x86_64)" "removed xemu-x86_64"
has "after" "$(contained | tr -d ' \n')" '"emulators":[]'
same "gone" "$(ls /proc/sys/fs/binfmt_misc | grep -c xemu)" 0
