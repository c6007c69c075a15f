# A monitoring agent in a container: prometheus-node-exporter with all its usual collectors answers what the node is, and goes on to.
#@ where = vm
#@ long-vm = whole programs in containers take minutes in the machine
#@ run = host
#@ root = workloads
installed
podman run -d --name exporter --read-only --user 65534 $workloads prometheus-node-exporter --web.listen-address=127.0.0.1:9100 >/dev/null; same "start" $? 0
listening 9100 || podman logs exporter >&2
first=$(get /metrics 9100)
has "answers" "$first" "200 OK"
value() { sed -n "s/^$1 //p" | awk '{ printf "%.0f\n", $1 }'; }
has "machine" "$(echo "$first" | grep ^node_uname_info)" 'machine="x86_64"'
has "kernel" "$(echo "$first" | grep ^node_uname_info)" "release=\"$(uname -r)\""
has "built for" "$(echo "$first" | grep ^node_exporter_build_info)" 'goarch="amd64"'
same "memory" "$(echo "$first" | value node_memory_MemTotal_bytes)" "$(awk '/^MemTotal/ { print $2 * 1024 }' /proc/meminfo)"
same "started" "$(echo "$first" | value node_boot_time_seconds)" "$(awk '/^btime/ { print $2 }' /proc/stat)"
same "processors" "$(echo "$first" | grep -c '^node_cpu_seconds_total{.*mode="idle"}')" "$(nproc)"
late=$(($(date +%s) - $(echo "$first" | value node_time_seconds))); [ "${late#-}" -lt 30 ]; same "time" $? 0
for metric in node_load1 node_procs_running node_filesystem_size_bytes node_network_up node_disk_reads_completed_total node_sockstat_sockets_used node_vmstat_pgfault process_resident_memory_bytes go_goroutines; do
    has "$metric" "$first" "
$metric"
done
# The same program for the node's own processor finds the same.
prometheus-node-exporter --web.listen-address=127.0.0.1:9101 >/tmp/native.log 2>&1 & native=$!
listening 9101 || cat /tmp/native.log >&2
get /metrics 9101 >/tmp/native; kill $native
collectors() { grep -h ^node_scrape_collector_success "$@"; }
same "collectors as natively" "$(echo "$first" | collectors | diff - <(collectors /tmp/native))" ""
names() { grep -h '^[a-z]' "$@" | sed 's/[{ ].*//' | sort -u; }
same "metrics as natively" "$(echo "$first" | names | diff - <(names /tmp/native) | grep '^[<>]')" ""
# Many at a time, and counters only grow.
for n in 1 2 3 4 5 6 7 8; do get /metrics 9100 >/tmp/scrape.$n & pids="$pids $!"; done
wait $pids
same "eight at a time" "$(cat /tmp/scrape.* | grep -c '^node_uname_info.*x86_64')" 8
second=$(get /metrics 9100)
for counter in node_context_switches_total node_intr_total process_cpu_seconds_total; do
    awk -v a="$(echo "$first" | sed -n "s/^$counter //p")" -v b="$(echo "$second" | sed -n "s/^$counter //p")" 'BEGIN { exit !(a > 0 && b > a) }'; same "$counter grows" $? 0
done
start=$SECONDS; podman stop -t 60 exporter >/dev/null; [ $((SECONDS - start)) -lt 40 ]; same "it ends when told" $? 0
