# Core files of guests on a real kernel: what is in them, where they go, who leaves none.
#@ where = vm
#@ long-vm = many small programs, and one that looks at every register takes a minute there
#@ run = node
#@ needs = c/coredump-static
$NODE/xemu binfmt install >/dev/null
pattern() { echo "$1" >/proc/sys/kernel/core_pattern; }
folder=$ROOT/tmp/cores
mkdir -m 777 "$folder"
# inside COMMAND: by the guest's shell in the empty folder, with core files.
inside() { rm -rf "$folder"/*; (ulimit -c unlimited; guest /bin/bash -c "cd /tmp/cores; $1" 2>&1); }
# died COMMAND: the names of what it leaves.
died() { inside "$1" >/dev/null; ls "$folder"; }
machine() { od -An -j18 -N1 -tu1 "$1" | tr -d ' '; }
pattern core
guest=$(inside /.guests/c/coredump-static)
same "nothing is otherwise" "$(echo "$guest" | grep -c NO)" 0
has "threads" "$guest" "5: computing 1, waiting 1, sleeping 1, joining 1, first crashed: yes"
has "registers" "$guest" "rip: yes, rsp: yes, r12 1234567 r14 7654321 rax 10 call -1 cs 33 ss 2b"
has "advised out" "$guest" "advised out: none"
has "protected" "$guest" "protected: filled"
has "on its parent's memory" "$guest" "rip: yes, one thread: yes"
has "by execve" "$guest" "signal 6, abort"
same "its name" "$(died 'sh -c "kill -SEGV \$\$"')" core
same "the guest's machine" "$(machine "$folder/core")" 62
size=$(du -k "$folder/core" | cut -f1)
same "as large as it must be ($size KiB)" "$([ "$size" -lt 2000 ] && echo yes)" yes
pattern '%e.%s.%E'
same "what happened" "$(died 'busybox sh -c "kill -ABRT \$\$"')" "busybox.6.!usr!bin!busybox"
pattern '/tmp/cores/at-%c-%d-%h'
same "somewhere else" "$(died 'cd /; sh -c "kill -QUIT \$\$"')" "at-18446744073709551615-1-$(uname -n)"
pattern core
echo 1 >/proc/sys/kernel/core_uses_pid
same "with its process" "$(inside 'sh -c "echo core.\$\$; kill -QUIT \$\$"' | grep core)" "$(ls "$folder")"
echo 0 >/proc/sys/kernel/core_uses_pid
same "no limit, no file" "$(died 'ulimit -c 0; sh -c "kill -QUIT \$\$"')" ""
same "where it may not write" "$(died 'chmod 755 .; exec setpriv --reuid=1000 --clear-groups sh -c "kill -QUIT \$\$"')" ""
# The first process of a namespace is protected; its children are not.
same "process 1" "$(inside 'unshare -pf --mount-proc sh -c "kill -QUIT \$\$; kill -ABRT \$\$; echo lives on; sh -c \"kill -ABRT \\\$\\\$\"; echo \$?"' | grep -v Abort | tr '\n' ' '; ls "$folder")" "lives on 134 core"
# A program that gets the cores is the kernel's to start: it gets xemu's own.
pattern '|/bin/busybox dd of=/piped'
inside 'sh -c "kill -SEGV \$\$"' >/dev/null; sleep 1
same "to a program" "$(ls "$folder") $(machine /piped)" " 183"
pattern core
# A lot that nobody uses.
start=$(cut -d. -f1 /proc/uptime)
same "reserved" "$(died 'perl -e "syscall(9, 0, 1 << 36, 3, 0x4022, -1, 0) > 0 or die; kill ABRT => \$\$"') $(machine "$folder/core")" "core 62"
same "in little time" "$([ $(($(cut -d. -f1 /proc/uptime) - start)) -lt 60 ] && echo yes)" yes
rm $NODE/xemu
