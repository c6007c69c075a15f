# A hundred lines of bash: arrays, functions, arithmetic, expansions, here-documents, pipes, traps, job control.
set -u
shopt -s extglob globstar nullglob
# bash names process ids when it reports jobs: collected here, shown without them at the end.
exec 3>&2 2>err
declare -A count=()
words=(the quick brown fox jumps over the lazy dog the end)
for w in "${words[@]}"; do count[$w]=$(( ${count[$w]:-0} + 1 )); done
for w in $(printf '%s\n' "${!count[@]}" | sort); do echo "$w=${count[$w]}"; done
echo "${#words[@]} ${words[@]:2:3} ${words[-1]} ${!words[*]}"
unset 'words[3]'; words+=(added); echo "${words[@]@Q}"
fact() { if (( $1 < 2 )); then echo 1; else echo $(( $1 * $(fact $(( $1 - 1 ))) )); fi; }
fact 15
fib() { local a=0 b=1 i; for (( i = 0; i < $1; i++ )); do (( a += b, b = a - b, 1 )); done; echo $a; }
fib 60
s="Hello, World"; echo "${s,,} ${s^^} ${s/o/0} ${s//o/0} ${s#*,} ${s%%,*} ${s:7} ${s:(-5):3} ${#s}"
path=/usr/local/lib/file.tar.gz; echo "${path##*/} ${path%.*} ${path%%.*} ${path/#\/usr/X}"
[[ $s =~ ^(H[a-z]+),\ (.*)$ ]] && echo "${BASH_REMATCH[1]}|${BASH_REMATCH[2]}"
case $s in *World) echo world ;;& Hello*) echo hello ;; *) echo no ;; esac
cat <<EOT | while IFS=: read -r name value; do printf '%-10s|%5d|%#x\n' "$name" "$value" "$value"; done
one:1
two:$((1 + 1))
big:123456789
EOT
cat <<'EOT'
no $expansion `here`
EOT
tr a-z A-Z <<< "here string"
diff <(printf '1\n2\n3\n') <(printf '1\n2\n4\n'); echo "diff $?"
exec 5> out.txt; echo "to five" >&5; exec 5>&-; cat out.txt
{ echo out; echo err >&2; } 2>&1 | sort
mapfile -t lines < <(seq 5 | tac); echo "${lines[*]}"
trap 'echo "exit trap $?"' EXIT
trap 'echo usr1' USR1; kill -USR1 $$
trap 'echo "err at ${FUNCNAME[0]:-main}"' ERR; false; trap - ERR
(trap 'echo sub exit' EXIT; exit 3); echo "subshell $?"
set -o pipefail; true | false | true; echo "pipe $? ${PIPESTATUS[*]}"; set +o pipefail
set -m
sleep 0.2 & job=$!; wait $job; echo "job $?"
(exit 7) & wait $!; echo "wait $?"
sleep 100 & until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.1; done; kill %1; wait %1 2>/dev/null; echo "killed $?"
sleep 100 & kill -STOP $!; sleep 0.1; jobs -s | sed 's/^\[[0-9]*\]//'; kill -CONT $!; kill -9 $!; until wait $!; (( (s = $?) != 147 )); do :; done; ( exit $s ); echo "stopped and killed $?"
coproc BC { while read -r x; do echo $(( x * x )); done; }
for i in 3 14 15; do echo $i >&"${BC[1]}"; read -r y <&"${BC[0]}"; echo "square $y"; done
exec {BC[1]}>&-; wait "$BC_PID"; echo "coproc $?"
set +m
for i in {1..40}; do (( i % 15 )) || { echo -n "fizzbuzz "; continue; }; (( i % 5 )) || { echo -n "buzz "; continue; }; (( i % 3 )) || { echo -n "fizz "; continue; }; echo -n "$i "; done; echo
echo {a..e}{1..3} {01..10..3}
printf '%s %q %b %05.1f %x\n' text 'a b$c' 'tab\there' 3.14159 255
printf -v var '%(%Y-%m-%d)T' 86400; echo "$var"
x=5; until (( x == 0 )); do (( x-- )); [[ $x == 2 ]] && break; done; echo "x $x"
select_test() { select o in a b; do echo "chose $o"; break; done; }; select_test <<< 2
f() { local -n ref=$1; ref=changed; }; value=old; f value; echo "$value"
declare -i n=10; n+=5; n=n*2; echo "$n $(( 16#ff )) $(( 2#1011 )) $(( 7 / 2 )) $(( -7 % 3 )) $(( 2 ** 40 )) $(( 1 << 62 ))"
echo $(( 5 > 3 ? 10 : 20 )) $(( ~5 & 0xff ))
( ulimit -n 64; ulimit -n ); umask 027; umask; touch masked; stat -c %a masked
mkdir -p d/{a,b}/{x,y}; echo d/** d/*/!(x) none*
echo "a:b:c" | { IFS=: read -ra parts; echo "${parts[1]}"; }
eval 'echo "eval $((6 * 7))"'
time_out() { timeout 0.1 sleep 5; echo "timeout $?"; }; time_out
nosuchcommand 2>/dev/null; echo "missing $?"
./out.txt 2>/dev/null; echo "not executable $?"
( exec 2>/dev/null; kill -SEGV $BASHPID ); echo "killed $?"
printf '#!/bin/bash -e\necho "script $0 $*"; false; echo no\n' > script; chmod +x script; ./script 1 2; echo "script $?"
source /dev/stdin <<< 'sourced=1'; echo "$sourced"
seq 1000 | while read -r i; do echo $(( i * i )); done | tail -1
for i in $(seq 30); do echo "$(echo $i)"; done | md5sum
# Whether the job was dead before its `wait`, and so is reported, is a race.
exec 2>&3; sed -E '/ Killed /d; s/ +[0-9]+ Segm/ PID Segm/; s/process [0-9]+/process PID/' err
echo end
exit 5
