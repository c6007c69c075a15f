# Job control, pipes of real sizes, signals to groups, and what a shell learns of its children.
#@ where = vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = guest
exec 2>&1
set -m
sleep 5 & kill -STOP %1; sleep 0.2; jobs %1; kill -CONT %1; sleep 0.2; jobs -r | wc -l; kill -TERM %1; wait %1; echo "wait $?"
(trap 'echo group; exit 4' TERM; sleep 5 & wait) & sleep 1; kill -TERM -$!; wait $!; echo "group $?"
set +m
yes | head -c 1000000 | wc -c; (yes; echo "yes $?" >status) | head -n 1; sleep 0.2; cat status
cat /dev/zero | head -c 5000000 | md5sum
mkfifo a b; cat a > b & echo through > a & cat b; wait
for i in 1 2 3 4 5; do (sleep $i; exit $i) & done; for i in 1 2 3 4 5; do wait -n; echo "next $?"; done
bash -c 'trap "echo int" INT; kill -INT $$; echo after'; (sh -c 'kill -TERM $$'; echo "term $?") 2>/dev/null; (bash -c 'ulimit -c 0; kill -SEGV $$'; echo "segv $?") 2>/dev/null
coproc tr a-z A-Z; echo coprocess >&"${COPROC[1]}"; exec {COPROC[1]}>&-; cat <&"${COPROC[0]}"; wait
(timeout -k 1 4 sh -c 'trap "" TERM; sleep 3; sleep 3; sleep 3; echo survived'; echo "timeout $?") 2>/dev/null
echo $(ulimit -n 64; ulimit -n) $(ulimit -Ss 1024; ulimit -Ss); (ulimit -v 200000; echo limited | cat)
echo $(($(nice -n 5 nice) - $(nice))); setsid sh -c 'echo session'; script -qec 'tty | sed s/[0-9]*$//; stty size' /dev/null | tr -d '\r'
