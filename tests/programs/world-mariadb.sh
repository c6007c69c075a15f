# mariadb: InnoDB, a thread a connection, native AIO or its own threads (docker-library/mysql#865, multiarch/qemu-user-static#114).
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
d=/tmp/work/db; mkdir $d; m="mariadb -S $d/s -u root --skip-column-names"
mariadb-install-db --no-defaults --user=root --datadir=$d/data --skip-name-resolve --skip-test-db > log 2>&1 || tail -5 log
mariadbd --no-defaults --user=root --datadir=$d/data --socket=$d/s --skip-networking --pid-file=$d/pid --innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 > log 2>&1 &
for i in {1..1200}; do $m -e 'select 1' > /dev/null 2>&1 && break; sleep 0.2; done
$m -e "create database x; use x; create table t (id int auto_increment primary key, v decimal(10,2), s varchar(40), key (s)) engine=innodb; insert into t (v, s) select seq * 1.5, md5(seq) from seq_1_to_2000; select count(*), sum(v), max(s) from t; select id from t where s = md5('77')" || tail log
for i in 1 2 3; do $m x -e "update t set v = v + 1 where id <= 100" & done; wait %2 %3 %4; $m x -e "select sum(v) from t where id <= 100; select 1/0; select json_extract('{\"a\": [1, 2]}', '$.a[1]')"
mariadb-admin -S $d/s -u root shutdown; wait; echo end
