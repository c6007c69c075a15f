# The mixed load of soak.sh for half an hour: as long as leaks need to show. What it holds goes to the machine's console every five minutes.
#@ where = vm
#@ long-vm = it takes half an hour
#@ run = node
#@ limit = 2600
#@ needs = c/soak-static
$NODE/xemu binfmt install >/dev/null; rm $NODE/xemu
(export XEMU_CACHE_SIZE=4M; exec chroot "$ROOT" /.guests/c/soak-static 1800 memory) >out & load=$!
watch() {
    local round=0
    while sleep 10; do
        [ $((round % 30)) != 0 ] || echo "[e2e] after $((round * 10)) s: $(awk '/^(VmRSS|VmSize|VmPTE|Threads)/ { printf "%s%s ", $1, $2 }' /proc/$load/status) $(awk '/^(MemFree|Slab)/ { printf "%s%s ", $1, $2 }' /proc/meminfo)" >/dev/console
        round=$((round + 1))
    done
}
watch & watcher=$!
wait $load; same "its end" $? 0
kill $watcher
same "what it says" "$(cat out)" "every result was right"
