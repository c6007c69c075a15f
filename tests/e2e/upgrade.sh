# Another xemu is installed while a guest runs: the guest goes on and starts further programs, and what is started anew gets the new one.
#@ where = namespace vm
#@ limit = 240
#@ run = node
$NODE/xemu binfmt install --flags F >/dev/null
mkfifo "$ROOT/tmp/go"
guest /bin/bash -c 'echo started; read -r word < /tmp/go; echo "$word $(uname -m) $(echo x | tr x y)"; (exec /bin/sh -c "echo third")' >"$ROOT/tmp/out" 2>&1 &
await started "$ROOT/tmp/out"
cp $NODE/xemu $NODE/newer && rm $NODE/xemu
has "upgrade" "$($NODE/newer binfmt install --flags F)" "registered xemu-x86_64 -> $NODE/newer"
same "a new program" "$(guest /bin/sh -c 'uname -m')" x86_64
echo went >"$ROOT/tmp/go"; wait $!
same "the old one went on" "$(tail -n 2 "$ROOT/tmp/out" | tr '\n' ' ')" "went x86_64 y third "
# Even with no registration left, a running guest can start programs: xemu starts itself.
guest /bin/bash -c 'echo started; read -r word < /tmp/go; echo "$word $(echo x | tr x y)"' >"$ROOT/tmp/out" 2>&1 &
await started "$ROOT/tmp/out"
$NODE/newer binfmt uninstall >/dev/null; mv $NODE/newer $NODE/xemu
echo went >"$ROOT/tmp/go"; wait $!
# (A machine that is not ARM64 can run the next program by itself then.)
same "without a registration" "$(tail -n 1 "$ROOT/tmp/out")" "went y"
