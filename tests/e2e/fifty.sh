# Fifty commands, pipes and subshells: what a day's shell work starts. Only what does not change from run to run is printed.
#@ where = namespace vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = guest
uname -m
echo "$0 $#" | tr a-z A-Z
pwd
ls / | grep -c .
printf '%s\n' pear apple fig | sort > fruit
cat fruit | head -n 2
wc -l < fruit
sed -e 's/a/A/g' -e '$d' fruit
grep -n p fruit | cut -d: -f2 | paste -sd+
awk '{ n += length($0) } END { print n, NR }' fruit
seq 1 20 | awk '$1 % 3 == 0' | xargs
seq 5 | while read -r n; do echo -n "$n:$((n * n)) "; done; echo
(cd /usr && ls -d share lib) | sort
(exit 7); echo "subshell $?"
false || echo "false $?"
true && echo "true $?"
x=$(echo a; (echo b; echo $(echo c))); echo "$x" | tr '\n' ,; echo
{ echo out; echo err >&2; } 2>&1 | sort
cat <<< 'here string' | rev
cat << EOF | tac
first $((1 << 10))
second ${x%%b*}
EOF
diff <(seq 3) <(seq 2 4); echo "diff $?"
sleep 0.1 & wait $!; echo "waited $?"
(sleep 5 & echo $! > pid; wait) & sleep 0.3; kill -TERM $(cat pid); wait; echo "killed"
(sh -c 'kill -KILL $$'; echo "signal $?") 2>/dev/null
trap 'echo trapped' USR1; kill -USR1 $$; trap - USR1
timeout 0.2 sleep 5; echo "timeout $?"
yes | head -n 1000 | md5sum
head -c 100000 /dev/zero | gzip -9 | gzip -d | sha256sum
dd if=/dev/zero bs=4k count=3 2>/dev/null | wc -c
mkdir -p d/e/f && touch d/e/f/{1,2,3} && find d -type f | sort
ln -s e/f/1 d/link && readlink d/link && test -L d/link; echo "link $?"
chmod 640 fruit && stat -c '%a %s %F' fruit
tar -cf - d | tar -tf - | sort | tail -n 3
rm -r d && ls -d d 2>/dev/null; echo "gone $?"
env -i A=1 B=2 /usr/bin/env | sort
A=inherited bash -c 'echo "$A ${B-unset}"'
exec 5> five; echo through five >&5; exec 5>&-; cat five
mkfifo pipe; (echo through a fifo > pipe &) ; cat pipe
set -- one 'two words' three; printf '<%s>' "$@"; echo
for f in /etc/pass*; do basename "$f" | tr -d '\n'; echo " $(wc -c < "$f")"; done
declare -A map=([k]=v [l]=w); for k in "${!map[@]}"; do echo "$k=${map[$k]}"; done | sort
f() { local n=$1; [ "$n" -le 1 ] && echo 1 || echo $((n * $(f $((n - 1))))); }; f 6
date -u -d @86400 +%F
expr 6 \* 7; test 5 -gt 3; echo "test $?"
printf 'b 2\na 1\n' > l; printf 'a x\nb y\n' > r; join <(sort l) r
comm -12 <(sort fruit) <(echo fig)
echo {a..e} | fold -w 3 | nl -ba
od -An -tx1 <<< xemu
base64 <<< "end to end" | base64 -d
split -l 1 fruit part.; cat part.* | cmp - fruit; echo "cmp $?"
bash -o pipefail -c 'false | true'; echo "pipefail $?"
id -u; umask
no-such-command 2>&1 | sed 's/.*: no/no/'; echo "${PIPESTATUS[*]}"
