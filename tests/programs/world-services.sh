# Services in C and Go: each started, asked and stopped.
#@ root = world
#@ each = collectd etcd exporter memcached rsyslog valkey
#@ long = more than a minute under two emulators
#@ limit = 1500
port=$((20000 + RANDOM % 20000))
up() { for i in {1..900}; do curl -s "$1" > /dev/null && return; sleep 0.1; done; cat log; exit 1; }
case $1 in
collectd) printf 'BaseDir "/tmp/work"\nPIDFile "/tmp/work/pid"\nPluginDir "/usr/lib/collectd"\nTypesDB "/usr/share/collectd/types.db"\nHostname "here"\nInterval 1\nLoadPlugin load\nLoadPlugin memory\nLoadPlugin cpu\nLoadPlugin uptime\nLoadPlugin csv\n<Plugin csv>\nDataDir "/tmp/work/csv"\n</Plugin>\n' > c.conf
  collectd -t -C c.conf; echo $?; collectd -f -C c.conf > log 2>&1 & for i in {1..600}; do [ -d csv/here/load ] && [ -d csv/here/memory ] && [ -d csv/here/uptime ] && break; sleep 0.1; done; sleep 2; kill $!; wait $!; echo $?
  (cd csv/here; ls -d load memory uptime; for f in load/load-* uptime/uptime-* memory/memory-free-*; do head -1 "$f"; [ "$(wc -l < "$f")" -ge 2 ] && echo values; done) ;;
etcd) export ALLOW_NONE_AUTHENTICATION=yes; etcd --data-dir d --listen-client-urls http://127.0.0.1:$port --advertise-client-urls http://127.0.0.1:$port --listen-peer-urls http://127.0.0.1:$((port + 1)) --initial-advertise-peer-urls http://127.0.0.1:$((port + 1)) --initial-cluster default=http://127.0.0.1:$((port + 1)) > log 2>&1 & up http://127.0.0.1:$port/health
  c() { curl -s http://127.0.0.1:$port/v3/kv/$1 -d "$2" | grep -o '"value":"[^"]*"\|"key":"[^"]*"\|"deleted":"[^"]*"'; }; for i in {1..200}; do curl -s http://127.0.0.1:$port/health | grep -q true && break; sleep 0.2; done
  curl -s http://127.0.0.1:$port/health | grep -o '"health":"true"'; curl -s http://127.0.0.1:$port/v3/kv/put -d '{"key":"Zm9v","value":"YmFy"}' | grep -c revision; c range '{"key":"Zm9v"}'; c deleterange '{"key":"Zm9v"}'; kill $!; wait $! ; echo $? ;;
exporter) prometheus-node-exporter --collector.disable-defaults --collector.uname --collector.meminfo --collector.loadavg --collector.stat --web.listen-address=127.0.0.1:$port > log 2>&1 & up http://127.0.0.1:$port/; curl -s http://127.0.0.1:$port/metrics > m; grep -o 'node_uname_info.*machine="[a-z0-9_]*"' m | grep -o 'machine.*'; grep -oE '^node_(memory_MemTotal|load1|boot_time|stat_intr|procs_running)[a-z_]*' m | sort -u; grep 'node_scrape_collector_success' m | grep -c ' 1$' > /dev/null && echo some; kill $!; wait $!; echo $? ;;
memcached) memcached -u root -s /tmp/work/s -t 4 -m 16 2> log & for i in {1..300}; do [ -S s ] && break; sleep 0.1; done; sleep 0.3; printf 'set a 0 0 5\r\nhello\r\nget a\r\nincr n 1\r\nset n 0 0 1\r\n5\r\nincr n 37\r\ndelete a\r\nget a\r\nquit\r\n' | python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect("s"); s.sendall(sys.stdin.buffer.read()); b = b""
while d := s.recv(9999): b += d
print(b.decode(), end="")'; kill $!; wait $!; echo $? ;;
rsyslog) cat > r.conf <<F
module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" Socket="/tmp/work/devlog" CreatePath="on")
template(name="t" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname%:%msg%\n")
*.* action(type="omfile" file="/tmp/work/out" template="t")
F
  rsyslogd -n -f r.conf -i /tmp/work/rpid & for i in {1..300}; do [ -S devlog ] && break; sleep 0.1; done; sleep 0.5
  for i in 1 2 3; do logger -u /tmp/work/devlog -t tester -p user.notice "message $i"; done; for i in {1..100}; do [ "$(grep -c tester out 2>/dev/null)" = 3 ] && break; sleep 0.1; done; grep tester out; kill $(cat rpid); wait; echo $? ;;
valkey) valkey-server --port 0 --unixsocket /tmp/work/s --save '' --io-threads 4 > log 2>&1 & for i in {1..300}; do [ -S s ] && break; sleep 0.1; done; python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("s"); s.sendall(b"SET a 1\r\nINCR a\r\nGET a\r\n"); b = b""
while b.count(b"\n") < 4: b += s.recv(999)
print(b)'; kill $!; wait $!; echo $? ;;
esac
