# A configuration syncer in a container, by git and by rsync, from servers in others: what is published arrives, changes follow, what is gone goes.
#@ where = vm
#@ long-vm = whole programs in containers take minutes in the machine
#@ run = host
#@ root = workloads
#@ limit = 1800
installed
mkdir srv copy
cat >srv/rsyncd.conf <<'C'
use chroot = no
[files]
path = /srv/files
read only = yes
C
in_server() { podman run --rm -v /tmp/srv:/srv -e HOME=/srv -w /srv $workloads "$@"; }
in_server bash -ec '
git config --global user.email a@b; git config --global user.name a; git config --global init.defaultBranch main; git config --global safe.directory "*"
git init -q --bare repo.git; git clone -q repo.git work 2>/dev/null; cd work
mkdir conf.d; for n in {1..40}; do seq $n $((n * 50)) >conf.d/$n.conf; done; ln -s conf.d/1.conf first; printf "#!/bin/sh\n" >run; chmod 755 run
git add .; git commit -qm one; git push -q origin HEAD:main
mkdir ../files; cp -a conf.d run first ../files; ln ../files/run ../files/hard; head -c 3000000 /dev/urandom >../files/big' >&2; same "publish" $? 0
podman run -d --name git -v /tmp/srv:/srv -e HOME=/srv $workloads git daemon --reuseaddr --listen=127.0.0.1 --port=9418 --base-path=/srv --export-all >/dev/null; same "git's server" $? 0
podman run -d --name rsync -v /tmp/srv:/srv $workloads rsync --daemon --no-detach --config=/srv/rsyncd.conf --port=8730 --address=127.0.0.1 >/dev/null; same "rsync's server" $? 0
listening 9418 && listening 8730 || { podman logs git; podman logs rsync; } >&2
podman run -d --name syncer --read-only -v /tmp/copy:/copy -e HOME=/copy $workloads sleep infinity >/dev/null
in_syncer() { podman exec syncer bash -c "$1"; }
names() { (cd "$1" && find . -path ./.git -prune -o \( -type f -exec cksum {} + -o -type l -printf '%p -> %l\n' \) | sort); }
in_syncer 'git clone -q git://127.0.0.1/repo.git /copy/git'; same "clone" $? 0
same "the same files" "$(names copy/git | diff - <(names srv/work) | head -n 5)" ""
same "executable" "$(stat -c %a copy/git/run)" 755
in_syncer 'cd /copy/git && git fsck --full 2>&1 && git status --porcelain'; same "intact" $? 0
in_server bash -ec 'cd work; git rm -q conf.d/7.conf; echo changed >>conf.d/8.conf; git mv first second; git commit -qam two; git push -q origin HEAD:main' >&2; same "change" $? 0
in_syncer 'cd /copy/git && git pull -q --ff-only'; same "pull" $? 0
same "the same files again" "$(names copy/git | diff - <(names srv/work) | head -n 5)" ""
same "the same commit" "$(in_syncer 'git -C /copy/git rev-parse HEAD')" "$(in_server git --git-dir=/srv/repo.git rev-parse main)"
pull='rsync -aH --delete --stats rsync://127.0.0.1:8730/files/ /copy/files/'
in_syncer "$pull" >stats; same "rsync" $? 0
same "what it made" "$(names copy/files | diff - <(names srv/files) | head -n 5)" ""
same "one file by two names" "$(stat -c %h copy/files/hard)" 2
in_syncer "$pull" >stats; has "nothing twice" "$(cat stats)" "Number of regular files transferred: 0"
# A few bytes of a large file: only these are sent.
printf 'changed' | dd of=srv/files/big bs=1 seek=1500000 conv=notrunc 2>/dev/null; rm srv/files/conf.d/9.conf
in_syncer "$pull" >stats; same "rsync after a change" $? 0
same "the same" "$(names copy/files | diff - <(names srv/files) | head -n 5)" ""
same "most of it matched" "$(awk -F': ' '/^Matched data/ { gsub(/[^0-9]/, "", $2); print ($2 > 2900000) }' stats)" 1
has "what is gone" "$(cat stats)" "Number of deleted files: 1"
in_syncer 'git clone -q git://127.0.0.1/missing.git /copy/none 2>/dev/null'; same "a repository that is not there" $? 128
podman rm -f -t 1 git rsync syncer >/dev/null
