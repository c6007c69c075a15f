# dpkg and apt in a chroot-like tree: packing, unpacking, maintainer scripts, a local repository (the libc-bin thread: tonistiigi/binfmt#245).
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
r=/tmp/work/root; mkdir -p $r/var/lib/dpkg/{info,updates,triggers} p/DEBIAN p/usr/share/x; touch $r/var/lib/dpkg/{status,available}
printf 'Package: hello-x\nVersion: 1.0\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: test\n' > p/DEBIAN/control; printf '#!/bin/sh\necho "postinst $1 on $(uname -m)"\n' > p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst; echo data > p/usr/share/x/f
dpkg-deb --root-owner-group -b p h.deb; dpkg-deb -I h.deb | grep Version; dpkg-deb -c h.deb | awk '{print $1, $6}'
dpkg --root=$r --force-script-chrootless --log=/dev/null -i h.deb 2>&1 | sed 's/([^)]*)/(..)/'; cat $r/usr/share/x/f; dpkg --root=$r -l hello-x | tail -1 | tr -s ' '; dpkg --root=$r --force-script-chrootless --log=/dev/null --purge hello-x 2>&1 | sed 's/([^)]*)/(..)/'
dpkg --print-architecture; dpkg --compare-versions 1.2~rc1 lt 1.2 && echo less; apt-get --version | head -1
mkdir -p repo a/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d}; cp h.deb repo/; (cd repo; sum=$(sha256sum h.deb | cut -d' ' -f1); { dpkg-deb -f h.deb; echo "Filename: ./h.deb"; echo "Size: $(stat -c%s h.deb)"; echo "SHA256: $sum"; } > Packages)
echo "deb [trusted=yes] file:/tmp/work/repo ./" > a/etc/sources.list; touch a/state/status
echo 'Dir::State "/tmp/work/a/state"; Dir::State::status "/tmp/work/a/state/status"; Dir::Cache "/tmp/work/a/cache"; Dir::Etc "/tmp/work/a/etc"; Dir::Etc::sourcelist "/tmp/work/a/etc/sources.list"; APT::Sandbox::User "root"; Dir::Log "/tmp/work";' > apt.conf
export APT_CONFIG=/tmp/work/apt.conf; apt-get -q update 2>&1 | grep -c '^Get'; apt-cache show hello-x | head -2; apt-get -q -s install hello-x | grep ^Inst; apt-get -q download hello-x > /dev/null 2>&1; ls *.deb
