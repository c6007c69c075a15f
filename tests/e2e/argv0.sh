# argv[0] as the caller gave it, by flag P: `exec -a`, login shells, programs that act by their name.
#@ where = namespace vm
#@ run = guest
#@ flags = FP
bash -c 'echo "$0"'; (exec -a other bash -c 'echo "$0"'); (exec -l sh -c 'echo "$0"')
(exec -a '' sh -c 'echo "<$0>"'); (exec -a 'two words' cat /proc/self/cmdline | tr '\0' '|'); echo
ln -s /usr/bin/busybox uname; ./uname -m; (exec -a basename /usr/bin/busybox /a/b/c.d .d); (exec -a no-such-applet /usr/bin/busybox; echo not reached); echo $?
busybox sh -c 'echo applet; uname -m; echo a b | cut -d" " -f2; ls /nonexistent; for i in 1 2; do (basename /x/$i); done' 2>&1
printf '#!/bin/sh\necho "$0" "$@"\n' > script; chmod +x script; (exec -a ignored ./script 1)
perl -e 'exec { "/bin/sh" } "-chosen", "-c", "echo \$0"'
