# Installed from a container that is gone afterwards, by the options of the image tonistiigi/binfmt: xemu mounts binfmt_misc itself, and what is
# registered stays.
#@ where = vm
#@ run = node
#@ needs = rust/marker
mkdir -p $NODE/container/usr/bin $NODE/container/proc
mv $NODE/xemu $NODE/container/usr/bin/xemu
contained() { unshare -mpf sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/xemu binfmt "$@"' $NODE/container "$@"; }
has "before" "$(contained)" '"supported": ["linux/arm64"], "emulators": []'
has "version" "$(contained --version)" xemu
has "install" "$(contained --install amd64)" '"emulators": ["xemu-x86_64"]'
has "flags" "$(cat /proc/sys/fs/binfmt_misc/xemu-x86_64)" "flags: POCF"
cp $NODE/container/usr/bin/xemu $NODE/kept; rm -r $NODE/container/usr
guest /.guests/rust/marker >/dev/null; same "runs after the container is gone" $? 0
mkdir -p $NODE/container/usr/bin; mv $NODE/kept $NODE/container/usr/bin/xemu
has "unknown architecture" "$(contained --install riscv64 2>&1)" "only for amd64"
has "uninstall" "$(contained --uninstall xemu-x86_64)" "removed xemu-x86_64"
has "after" "$(contained)" '"emulators": []'
same "gone" "$(ls /proc/sys/fs/binfmt_misc | grep -c xemu)" 0
