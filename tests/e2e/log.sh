# A log forwarder in a container: rsyslogd takes messages from a socket and by TCP and hands them to another, which writes them. None is lost, none twice, in order.
#@ where = vm
#@ long-vm = whole programs in containers take minutes in the machine
#@ run = host
#@ root = workloads
#@ limit = 1800
installed
mkdir logs
cat >logs/collector.conf <<'C'
module(load="imtcp")
input(type="imtcp" port="5140" address="127.0.0.1")
template(name="line" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname%:%msg%\n")
action(type="omfile" file="/logs/out" template="line" asyncWriting="on" flushOnTXEnd="off" ioBufferSize="64k")
C
cat >logs/forwarder.conf <<'C'
module(load="imuxsock" SysSock.Use="off")
module(load="imtcp")
input(type="imuxsock" Socket="/logs/socket" CreatePath="on" RateLimit.Interval="0")
input(type="imtcp" port="5141" address="127.0.0.1")
action(type="omfwd" target="127.0.0.1" port="5140" protocol="tcp" queue.type="linkedList" queue.size="50000" action.resumeRetryCount="-1")
C
run() { podman run -d --name "$1" -v /tmp/logs:/logs $workloads rsyslogd -n -f "/logs/$1.conf" -i "/tmp/$1.pid" >/dev/null; same "$1" $? 0; }
run collector; listening 5140 || podman logs collector >&2
run forwarder; listening 5141 || podman logs forwarder >&2
sends() { podman run --rm -v /tmp/logs:/logs $workloads "$@"; }
# As three programs at a time: 3000 by TCP from one, 1000 by the socket, one by one with another priority.
sends bash -c 'seq -f "tcp %g of many" 3000 | logger -T -n 127.0.0.1 -P 5141 -t tcp -p local0.info' & pids=$!
sends bash -c 'seq -f "socket %g" 1000 | logger -u /logs/socket -t socket -p user.warning' & pids="$pids $!"
sends bash -c 'for n in {1..20}; do logger -u /logs/socket -t single -p daemon.err "single $n"; done' & pids="$pids $!"
wait $pids
for round in {1..600}; do [ "$(wc -l <logs/out)" -ge 4020 ] && break; [ $((round % 50)) != 0 ] || podman kill -s HUP collector >/dev/null; sleep 0.2; done 2>/dev/null
# It ends when told, and writes what it still has.
podman stop -t 30 forwarder collector >/dev/null; same "stopped by their signals" "$(podman inspect -f '{{.State.ExitCode}}' forwarder collector | tr '\n' ' ')" "0 0 "
same "from TCP" "$(grep '^local0.info tcp:' logs/out | diff - <(seq -f 'local0.info tcp: tcp %g of many' 3000) | head -n 3)" ""
same "from the socket" "$(grep '^user.warning socket:' logs/out | diff - <(seq -f 'user.warning socket: socket %g' 1000) | head -n 3)" ""
same "one by one" "$(grep '^daemon.err single:' logs/out | diff - <(seq -f 'daemon.err single: single %g' 20) | head -n 3)" ""
