# `#!` lines: chains, arguments, interpreters that are scripts, found by a relative path, with an empty environment; what $0 is in each.
#@ where = namespace vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = guest
printf '#!/bin/sh\necho sh "$0" "$@"\n' > a
printf '#!./a one argument\n' > b
printf '#! ./b\n' > c
printf '#!/usr/bin/awk -f\nBEGIN { for (i = 1; i < ARGC; i++) printf "awk <%%s>\\n", ARGV[i]; exit 3 }\n' > d
printf '#!/usr/bin/env -S sh -eu\necho $-: "$@"; false; echo not reached\n' > e
printf '#!/bin/cat' > f
chmod +x a b c d e f
./a 'x y' '' z; ./b 2; ./c 3; ./d 'p q' ''; echo $?; ./e 4 | tr -d s; echo "${PIPESTATUS[0]}"; ./f; echo
env -i ./a empty
PATH=$PWD:$PATH; a by path; mkdir sub; cd sub; ../a up; (exec ../c exec)
printf '#!/bin/sh\necho "$0"; exec "$@"\n' > run; chmod +x run; ./run ./run ../a through
find .. -name a -exec {} found \;
echo stdin | xargs ../a
