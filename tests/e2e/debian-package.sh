# The Debian package: installed on a machine that was booted it registers xemu, an upgrade registers the new one, and its removal takes it away.
#@ where = vm
#@ run = host
[ -e /var/lib/dpkg/status ] || { mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates; touch /var/lib/dpkg/status; }
entry=/proc/sys/fs/binfmt_misc/xemu-x86_64
dpkg -i /payload/xemu.deb >/tmp/said 2>&1; same "in a chroot: installs" "$? $([ $? = 0 ] || cat /tmp/said)" "0 "
[ ! -e $entry ]; same "and registers nothing" $? 0
mkdir -p /run/systemd/system
dpkg -i /payload/xemu.deb >/tmp/said 2>&1; same "on a machine" $? 0
has "registered" "$(cat $entry)" "interpreter /usr/bin/xemu"
has "doctor" "$(xemu doctor)" "ok       after a boot: xemu is registered again"
has "doctor: runs" "$(xemu doctor)" "ok       x86_64 program: ran in"
xemu doctor >/dev/null; same "doctor: exit" $? 0
same "every file is whole" "$(dpkg --verify xemu)" ""
dpkg -i /payload/xemu.deb >/dev/null 2>&1; has "upgrade" "$(cat $entry)" enabled
has "at boot, by the administrator" "$(xemu binfmt install --systemd)" "wrote /etc/binfmt.d/xemu-x86_64.conf"
same "what systemd-binfmt would register" "$(grep -v '^#' /etc/binfmt.d/xemu-x86_64.conf)" "$(grep -v '^#' /usr/lib/binfmt.d/xemu-x86_64.conf)"
has "and away" "$(xemu binfmt uninstall)" "removed /etc/binfmt.d/xemu-x86_64.conf"
xemu binfmt install >/dev/null
dpkg -r xemu >/tmp/said 2>&1; same "remove" $? 0
[ ! -e $entry ]; same "gone" $? 0
rm -r /run/systemd/system
