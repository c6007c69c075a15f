# Compressors and archivers, both directions, on text and on a program; each reads what another wrote.
#@ long = minutes under two emulators
cat /usr/share/common-licenses/* > text; head -c 400000 /usr/bin/bash > prog
for f in text prog; do
    for c in "gzip -n" "gzip -n -1" "gzip -n -9" "bzip2" "xz -T1" "xz -T1 -0" "xz --format=lzma" "zstd -q -T1" "zstd -q -T1 -15" "zstd -q -T1 --long"; do
        $c -k -c $f > c; wc -c < c; md5sum < c; ${c%% *} -dc -q < c 2>/dev/null | cmp - $f || $c -d -c < c | cmp - $f
    done
done
gzip -n -c text > a.gz; gzip -tv a.gz; gzip -l a.gz; zcat a.gz | head -1; zgrep -c GNU a.gz; zdiff a.gz a.gz; echo broken | gzip -dc; echo $?; head -c 1000 a.gz | gzip -dc 2>&1 | tail -1; xz -k text; xz -l text.xz | tail -1; xzgrep -c GNU text.xz; xz -t text.xz; bzip2 -k text; bzcat text.bz2 | md5sum; bunzip2 -t text.bz2; head -c 5000 text.bz2 | bzip2 -dc 2>&1 >/dev/null | grep -c bzip2; zstd -q -k text; zstd -q -t text.zst; zstd -l text.zst | tail -1; zstdcat text.zst | md5sum; zstd -q --train /usr/share/perl5/*/*.pm /usr/share/perl/5*/*/*.pm -o dict 2>/dev/null; wc -c dict; zstd -q -D dict -c /etc/passwd | zstd -q -D dict -dc | cmp - /etc/passwd
7zr a -bd -mmt1 -mtm- -mtc- x.7z text prog > /dev/null; 7zr t -bd x.7z | grep -E 'Ok|Files|Size'; 7zr l -bd -slt x.7z | grep -E '^(Path|Size|CRC|Method)'; mkdir e; 7zr x -bd -oe x.7z | grep -E '^(Everything|Size)'; cmp text e/text; cmp prog e/prog; 7zr a -bd -mmt1 -psecret -mhe y.7z text >/dev/null; 7zr t -bd -pwrong y.7z > /dev/null 2>&1; echo $?; 7zr t -bd -psecret y.7z | grep Ok
