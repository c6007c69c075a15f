# A Debian in a folder, entered by chroot as people do who make images and root file systems by hand: dpkg and apt install packages of several kinds there, whose scripts make
# users, alternatives, links to services and a time zone, and set off triggers (ldconfig, install-info), and remove them again.
#@ where = vm
#@ long-vm = installing packages takes minutes in the machine
#@ run = host
#@ archive = install-info nano redis-server tzdata vim-tiny xml-core
#@ limit = 1800
installed
r=/var/chroot; mkdir -p $r
podman load -q -i /payload/base.tar >/dev/null && id=$(podman create --platform linux/amd64 base /bin/true) && podman export "$id" | tar -x -C $r && podman rm "$id" >/dev/null; same "unpacked" $? 0
for d in proc dev; do mkdir -p $r/$d; mount --rbind /$d $r/$d; done
mkdir -p $r/archive $r/tmp; mount --bind /payload/archive $r/archive; mount -t tmpfs tmpfs $r/tmp
printf '#!/bin/sh\nexit 101\n' >$r/usr/sbin/policy-rc.d; chmod 755 $r/usr/sbin/policy-rc.d
rm -rf $r/etc/apt/sources.list.d; echo "deb [trusted=yes] file:/archive ./" >$r/etc/apt/sources.list
inside() { PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot $r "$@"; }
status() { inside dpkg-query -W -f '${db:Status-Abbrev} ' "$@" | tr -s ' '; }

inside dpkg -i $(cd $r; ls archive/*.deb | grep -E '/(install-info|nano|libncurses.*|vim-common|vim-tiny)_' | sed 's,^,/,') >/tmp/log 2>&1; same "dpkg -i" "$? $(grep -E '^(dpkg: error|E: )' /tmp/log)" "0 "
same "installed" "$(status install-info nano vim-tiny)" "ii ii ii "
same "alternatives" "$(inside readlink -f /usr/bin/editor /usr/bin/vi | tr '\n' ' ')" "/usr/bin/nano /usr/bin/vim.tiny "
has "trigger: info" "$(cat $r/usr/share/info/dir)" nano
has "an alternative by hand" "$(inside update-alternatives --set editor /usr/bin/vim.tiny 2>&1)" "manual mode"
same "and back" "$(inside update-alternatives --auto editor >/dev/null 2>&1; inside readlink -f /usr/bin/editor)" /usr/bin/nano

inside apt-get update >/tmp/log 2>&1; same "update" $? 0
inside apt-get install -y --no-install-recommends redis-server tzdata xml-core >/tmp/log 2>&1; same "apt-get install" "$? $(grep -E '^(dpkg: error|E: )' /tmp/log)" "0 "
has "trigger: libraries" "$(cat /tmp/log)" "Processing triggers for libc-bin"
has "what ldconfig wrote" "$(inside ldconfig -p)" "libjemalloc.so.2 (libc6,x86-64)"
same "a user by a script" "$(inside id -un redis)" redis
same "owners" "$(inside stat -c '%U:%G %a' /var/lib/redis /etc/redis/redis.conf | tr '\n' ' ')" "redis:redis 750 redis:redis 640 "
same "time zone" "$(inside readlink /etc/localtime) $(inside env TZ=Asia/Tokyo date -d @0 +%H%Z)" "/usr/share/zoneinfo/Etc/UTC 09JST"
same "service" "$(inside readlink /etc/systemd/system/multi-user.target.wants/redis-server.service)" /lib/systemd/system/redis-server.service
inside redis-server --port 0 --unixsocket /tmp/s --daemonize yes >/dev/null; for i in {1..200}; do [ -S $r/tmp/s ] && break; sleep 0.1; done
same "what was installed runs" "$(inside redis-cli -s /tmp/s set k v) $(inside redis-cli -s /tmp/s get k) $(inside redis-cli -s /tmp/s shutdown nosave)" "OK v "
same "nothing is half done" "$(inside dpkg --audit)" ""
same "every file is whole" "$(inside dpkg --verify nano redis-server xml-core tzdata)" ""
inside dpkg-reconfigure tzdata >/tmp/log 2>&1; same "configured again" $? 0

inside apt-get purge -y --autoremove redis-server nano >/tmp/log 2>&1; same "purge" "$? $(grep -E '^(dpkg: error|E: )' /tmp/log)" "0 "
same "gone" "$(status redis-server nano 2>&1 | grep -c 'no packages found') $(inside readlink -f /usr/bin/editor) $(ls $r/etc/redis 2>/dev/null)" "2 /usr/bin/vim.tiny "
same "libraries that nobody needs" "$(inside ldconfig -p | grep -c libjemalloc)" 0
