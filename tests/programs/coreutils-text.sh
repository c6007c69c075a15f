# Coreutils that read and write text.
seq 1 500 | awk '{print $1 * 7919 % 1009, "line", $1}' > n; cp /usr/share/common-licenses/GPL-3 text
sort n | md5sum; sort -n n | head -3; sort -rn -k1,1 -k3 n | tail -2; sort -R --random-source=text n | md5sum; sort -u -k1,1n n | wc -l; sort -c n; echo $?
shuf --random-source=text -n 3 n; uniq -c <(cut -c1 n | sort) | head; comm -12 <(sort n | head -50) <(sort n | tail -470) | wc -l
join -j1 <(sort -k1,1 n) <(sort -k1,1 n | sed 's/line/other/') | head -3; paste -d: n n | head -2; paste -s -d, <(head -5 n)
cut -d' ' -f1,3 n | head -2; cut -b2-4 n | head -2; tr -dc 'a-z' < text | fold -w 60 | head -3; tr -s 'a-z' < text | head -5; tr '[:lower:]' '[:upper:]' < text | sed -n 5p
head -c 100 text | od -c | head -4; od -A x -t x2z -N 64 text; od -t f8 -N 32 text; od -t d4 -j 10 -N 20 text
nl -ba text | sed -n 10,12p; expand <(printf 'a\tb\n') | cat -A; unexpand -a <(printf '        x       y\n') | cat -A; fmt -w 40 text | head -5; fold -s -w 30 text | head -5; pr -l 20 -h title text | grep -c title
split -n l/3 text part.; wc part.*; split -b 5k --numeric-suffixes text p; ls p[0-9]*; cat p[0-9]* | cmp - text && echo same; csplit -s text '/^ *[0-9]*\. /' '{3}'; wc -l xx*
tac n | head -2; rev <<< abcdef; wc text; wc -L text; wc -m < text; head -n -670 text; tail -c 50 text; tail -n +670 text
md5sum text; sha1sum text; sha224sum text; sha256sum text; sha384sum text; sha512sum text; b2sum text; cksum text; cksum -a sm3 text; sum text; sum -s text; sha256sum text > s; sha256sum -c s
base64 -w 50 <(head -c 99 text); base64 text | base64 -d | cmp - text && echo decoded; base32 <(head -c 30 text); basenc --base16 <(head -c 10 text); basenc --z85 <(head -c 20 text)
factor 123456789 9999999967 340282366920938463463374607431768211507 18446744073709551557; seq -s, 1 2 15; seq -w 8 11; seq 0.5 0.25 1.5; numfmt --to=iec 1234567890 --from=auto; numfmt --from=si 1.5K; numfmt --grouping 1000
expr 17 \* 3 + 2; expr length abcdef; expr match foobar 'foo\(.*\)'; expr 5 \> 3; test 5 -gt 3 -a -f text; echo $?; [ a = b ]; echo $?; printf '%5s|%-5s|%05d|%.3e|%c\n' a b 42 3.14159 xyz; printf '%b\n' 'a\x41\u00e9'
tsort <<< 'a b b c a c d a'; ptx <<< 'the quick brown fox' | head -3; dircolors -b | head -c 40; echo; echo -e 'a\tb\\n'; yes text | head -2; true; echo $?; false; echo $?
date -u -d '2024-02-29 12:34:56' '+%A %d %B %Y %j %U %s'; date -u -d @1700000000 --iso-8601=seconds; date -u -d '2024-01-31 +1 month' +%F; TZ=America/New_York date -d '2024-07-01 12:00 UTC'
