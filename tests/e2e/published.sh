# What the image tonistiigi/binfmt tests of its emulators, in this project's words: argv[0] through one and two executions, by path and by name, direct
# execution, `#!` lines (relative, with an argument, absolute, through another script, by a shell), /proc/self/exe after a change of folder, scheduling.
#@ where = namespace vm
#@ long-vm = its hundreds of programs take minutes in the machine
#@ run = guest
#@ flags = FP
#@ needs = c/started-static
p=/.guests/c/started-static
mkdir -p /tmp/published && cd /tmp/published && rm -rf ./* && cp $p show && PATH=$PATH:$PWD
exe() { $p --exec "$@"; echo "= $?"; }
echo "single"; exe ./show foo bar1 bar2
echo "two"; exe ./show ./show --exec ./show baz x
echo "two, absolute"; exe $PWD/show ./show --exec $PWD/show $PWD/show baz
echo "by name"; exe show show abc; exe show other abc
echo "direct"; show foo bar1; $PWD/show foo bar1; ./show foo
printf '#!./show\n' >a; printf '#!./show arg\n' >b; printf '#!%s/show\n' $PWD >c; printf '#!%s/c\n' $PWD >d; printf '#!/bin/sh\nexec ./show "$@"\n' >e
printf '#!/usr/bin/env show\n' >f; printf '#!/bin/sh\n./show "$@"\n' >g; chmod +x a b c d e f g
for script in a b c d e f g; do
    echo "script $script"; exe $PWD/$script arg1 arg2; exe ./$script ./$script arg1 arg2; exe $script $script x; ./$script foo bar1; sh -c "./$script foo bar1 bar2"
done
echo "env"; exe env env ./show foo bar1 bar2; exe env env show foo; exe sh sh -c 'sh -c "./e nested 1"'
echo "errors"; exe ./missing x; exe missing x; mkdir folder; exe ./folder x; echo 'echo text $1' >text; exe ./text x; chmod +x text; exe ./text x
printf '#!./missing\n' >noint; chmod +x noint; exe ./noint x; echo > empty; chmod +x empty; exe $PWD/empty x
echo "self"; ./show --elsewhere; (exec -a another ./show --elsewhere); cp show deleted; ./deleted --elsewhere
echo "schedule"; ./show --schedule
