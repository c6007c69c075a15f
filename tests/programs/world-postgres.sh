# postgresql: initdb, shared memory and semaphores, a process a connection, pgbench, a crash and recovery.
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
d=/tmp/work/pg; mkdir $d; chown 65534 $d; export PATH=/usr/lib/postgresql/17/bin:$PATH PGHOST=$d PGUSER=u PGDATABASE=postgres
as() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }; cd $d
as initdb -D $d/data -U u --no-locale -E UTF8 -A trust --no-sync > log 2>&1 || cat log; tail -1 log | grep -c pg_ctl
o="-c listen_addresses= -c unix_socket_directories=$d -c fsync=off -c shared_buffers=8MB -c autovacuum=off -c max_connections=20"
as pg_ctl -D $d/data -o "$o" -w -t 300 -l $d/slog start > /dev/null || cat slog
q() { as psql -X -A -t -c "$1"; }
q "create table t (id serial primary key, v numeric, s text)"; q "insert into t (v, s) select i * 1.5, md5(i::text) from generate_series(1, 2000) i"; q "select count(*), sum(v), max(s) from t"
q "create index on t (s); analyze t"; q "select id from t where s = md5('77')"; q "set jit = on; select sum(sqrt(v)) from t" | cut -c1-15 | tail -1; q "select 1/0" 2>&1
for i in 1 2 3; do q "begin; update t set v = v + 1 where id <= 100; commit" > /dev/null & done; wait; q "select sum(v) from t where id <= 100"
as pgbench -i -q -s 1 > /dev/null 2>&1; as pgbench -n -c 2 -j 2 -t 20 2>&1 | grep -E 'actually processed|failed'
kill -QUIT $(head -1 data/postmaster.pid); for i in {1..300}; do [ -e data/postmaster.pid ] && kill -0 $(head -1 data/postmaster.pid 2>/dev/null) 2>/dev/null || break; sleep 0.1; done
as pg_ctl -D $d/data -o "$o" -w -t 300 -l $d/slog start > /dev/null || cat slog; grep -c 'not properly shut down' slog; q "select count(*) from t"; as pg_ctl -D $d/data -m fast -w -t 300 stop > /dev/null; echo $?
