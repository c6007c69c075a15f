# redis: the event loop, background saving by fork, the append-only file, pipelines, Lua, blocking and expiring keys (redis/redis#10341, #10467).
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
s=/tmp/work/s
start() { redis-server --port 0 --unixsocket $s --dir /tmp/work --daemonize no --save '' --appendonly yes --io-threads ${1:-1} --activedefrag no >> log 2>&1 & for i in {1..600}; do redis-cli -s $s ping 2>/dev/null | grep -q PONG && return; sleep 0.1; done; cat log; exit 1; }
c() { redis-cli -s $s "$@"; }
start
for i in {1..300}; do echo "SET k$i $((i * i))"; done | redis-cli -s $s --pipe | tail -1
c get k17; c incr k17; c dbsize; c rpush l a b c d; c lrange l 0 -1; c zadd z 3 c 1 a 2 b; c zrange z 0 -1 withscores
c eval 'local n = 0; for i = 1, 1000 do n = n + i end; return {n, redis.call("get", KEYS[1])}' 1 k5
(c blpop q 60 > popped) & sleep 0.5; c rpush q hello; wait $!; cat popped
c setrange big 100000 x; c strlen big; c pfadd h a b c a; c pfcount h; c geoadd g 13.361389 38.115556 p 15.087269 37.502669 c; c geodist g p c
c bgsave; for i in {1..300}; do [ "$(c info persistence | grep -c rdb_bgsave_in_progress:0)" = 1 ] && break; sleep 0.1; done; c info persistence | grep rdb_last_bgsave_status
c bgrewriteaof; for i in {1..300}; do [ "$(c info persistence | grep -c aof_rewrite_in_progress:0)" = 1 ] && break; sleep 0.1; done; c info persistence | grep aof_last_bgrewrite_status
redis-benchmark -s $s -q -n 400 -c 10 -t set,get,lpush,lpop | tr '\r' '\n' | grep -c 'requests per second'
c shutdown; wait
redis-check-rdb dump.rdb | grep -o 'Checksum OK'
start 2; c get k17; c dbsize; redis-benchmark -s $s -q -n 300 -c 10 -P 4 -t get | grep -c 'requests per second'; c shutdown nosave; wait; echo end
