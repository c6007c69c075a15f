# The static busybox: its shell and applets.
#@ command = /usr/bin/busybox sh SCRIPT
b="busybox"
x=0; while [ $x -lt 200 ]; do x=$((x + 1)); done; echo $x
$b seq 20 | $b sort -rn | $b head -3; $b echo hello | $b tr a-z A-Z; $b printf '%05d %s\n' 42 x; $b awk 'BEGIN { for (i = 0; i < 5; i++) s += i * i; print s, sqrt(2) }'; $b sed 's/o/0/g' <<E2
foo
E2
$b find /etc -maxdepth 1 -type f | $b sort | $b head -3; $b grep -c root /etc/passwd; $b md5sum /etc/hosts; $b sha256sum /etc/hosts; $b sha512sum /etc/hosts; $b gzip -c /usr/share/common-licenses/GPL-3 | $b gunzip | $b cmp - /usr/share/common-licenses/GPL-3 && echo gz; $b bzip2 -c /etc/hosts | $b bunzip2 | $b wc; $b tar -cf t.tar -C /etc passwd group; $b tar -tf t.tar; $b cpio -o -H newc < /dev/null 2>/dev/null | $b wc -c
$b od -c /etc/hostname | $b head -2; $b hexdump -C /etc/hostname; $b base64 /etc/hostname; $b expr 6 \* 7; $b dc -e '2 100 ^ p' 2>/dev/null || echo 'dc failed'; $b bc <<E3
2^64; scale=20; 1/7
E3
$b uname -m; $b stat -c %a /etc/passwd; $b ls -1 /etc/apt 2>/dev/null | $b wc -l; $b date -u -d @86400; $b env -i A=1 $b env; $b xargs -n1 $b echo <<E4
a b c
E4
$b vi -c q /dev/null >/dev/null 2>&1 < /dev/null; $b diff /etc/passwd /etc/group | $b head -2; $b cut -d: -f1 /etc/passwd | $b tail -1; $b unxz < /dev/null 2>/dev/null; echo $?; $b sleep 0.01; $b timeout 1 $b sleep 0.01; echo $?; $b nosuch; echo $?; $b false; echo $?
