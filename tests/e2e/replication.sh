# MariaDB with a replica, each in a container, and a follower of its position (GTID): every transaction arrives once, in order, also those from a time when the replica
# was away.
#@ where = vm
#@ long-vm = two database servers in containers take minutes in the machine
#@ run = host
#@ root = workloads
#@ limit = 1500
installed
mkdir -p db/one
server() { # NAME PORT ID: what is in /tmp/db/NAME
    podman run -d --name "$1" -v /tmp/db:/db $workloads mariadbd --no-defaults --user=root --datadir="/db/$1" --socket="/db/$1.sock" --bind-address=127.0.0.1 --port="$2" --pid-file="/tmp/pid" \
        --server-id="$3" --log-bin=bin --gtid-strict-mode=ON --log-slave-updates=ON --innodb-buffer-pool-size=16M --innodb-log-file-size=16M --performance-schema=OFF >/dev/null
    same "$1" $? 0
    for round in {1..600}; do [ -S "db/$1.sock" ] && break; sleep 0.2; done
}
podman run --rm -v /tmp/db:/db $workloads mariadb-install-db --no-defaults --user=root --datadir=/db/one --skip-name-resolve --skip-test-db --auth-root-authentication-method=normal --innodb-log-file-size=16M >db/log 2>&1
same "install" $? 0; [ -d db/one/mysql ] || tail -n 5 db/log >&2
cp -a db/one db/two
server one 3307 1; server two 3308 2
podman run -d --name client -v /tmp/db:/db $workloads sleep infinity >/dev/null
sql() { podman exec client mariadb --no-defaults -S "/db/$1.sock" -u root --skip-column-names --batch -e "$2"; }
[ "$(sql one 'select 1')" = 1 ] || podman logs one >&2
sql one "create user repl@'127.0.0.1' identified by 'secret'; grant replication slave on *.* to repl@'127.0.0.1'; create database app; create table app.t (id int primary key auto_increment, v varchar(64), at timestamp(6) default current_timestamp(6)) engine=innodb"; same "schema" $? 0
sql two "change master to master_host='127.0.0.1', master_port=3307, master_user='repl', master_password='secret', master_use_gtid=slave_pos, master_connect_retry=1; start slave"; same "start replication" $? 0
# The follower writes each position that it sees.
podman exec client bash -c 'while sleep 0.2; do mariadb --no-defaults -S /db/two.sock -u root -N -B -e "select @@gtid_slave_pos" 2>/dev/null; [ ! -e /db/stop ] || break; done >/db/positions' &
follower=$!
sql one "use app; insert into app.t (v) select md5(seq) from seq_1_to_500; $(for n in {1..20}; do echo "begin; insert into app.t (v) values ('a$n'); update app.t set v = concat(v, 'x') where id = $n; commit;"; done)"; same "transactions" $? 0
arrived() { # the replica has all that the primary has
    position=$(sql one 'select @@gtid_binlog_pos')
    same "$1: waited for" "$(sql two "select master_gtid_wait('$position', 120)")" 0
    same "$1: position" "$(sql two 'select @@gtid_slave_pos')" "$position"
    has "$1: position is one" "$position" -1-
    same "$1: the same rows" "$(sql two 'checksum table app.t; select count(*), max(v), max(at) from app.t')" "$(sql one 'checksum table app.t; select count(*), max(v), max(at) from app.t')"
}
arrived "at once"
same "rows" "$(sql two "select count(*) from app.t")" 520
sql two 'stop slave'; sql one "delete from app.t where id > 510; insert into app.t (v) values ('while it was away')"; sql two 'start slave'
arrived "after a pause"
# The replica's server goes and comes again, with its position.
touch db/stop; wait $follower
podman stop -t 60 two >/dev/null; same "the replica ends when told" "$(podman inspect -f '{{.State.ExitCode}}' two)" 0
sql one "begin; update app.t set v = 'rolled back'; rollback; insert into app.t (v) values ('while it was down')"
podman start two >/dev/null; for round in {1..600}; do sql two 'select 1' >/dev/null 2>&1 && break; sleep 0.2; done
arrived "after a restart"
same "it replicates" "$(podman exec client mariadb --no-defaults -S /db/two.sock -u root -e "show slave status\G" | grep -cE 'Slave_(IO|SQL)_Running: Yes')" 2
# (Positions are domain-server-sequence.)
same "positions only grow" "$(grep - db/positions | cut -d- -f3 | sort -nc 2>&1)" ""
same "several were seen" "$(($(grep - db/positions | sort -u | wc -l) > 1))" 1
podman rm -f -t 30 client one two >/dev/null
