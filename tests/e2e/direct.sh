# Without any registration, as BuildKit does it: a static xemu lies in the root file system and is executed directly; what is started from there starts
# by it too. The published tests give the same then. With a registration the program's children are the kernel's affair.
# Threads: moby/buildkit#1929, FEX-Emu/FEX#1324, FEX-Emu/FEX#4375, ptitSeb/box64#257
#@ where = vm
#@ long-vm = its hundreds of programs take minutes in the machine
#@ run = node
#@ needs = c/started-static
mkdir "$ROOT/tmp/bin"; cp $NODE/xemu "$ROOT/tmp/bin/buildkit-qemu-x86_64"
guest /.guests/c/started-static >/dev/null 2>&1; same "nothing is registered" $? 126
guest /tmp/bin/buildkit-qemu-x86_64 /bin/bash /.cases/published.sh >/tmp/direct 2>&1; same "exit" $? 0
has "something ran" "$(cat /tmp/direct)" "schedule"
$NODE/xemu binfmt install >/dev/null
guest /bin/bash /.cases/published.sh >/tmp/registered 2>&1
same "the same as registered" "$(diff /tmp/direct /tmp/registered | tr '\n' ' ')" ""
$NODE/xemu binfmt uninstall >/dev/null
same "a script" "$(guest /tmp/bin/buildkit-qemu-x86_64 /bin/sh -c 'printf "#!/bin/sh\necho script \$1\n" >/tmp/s; chmod +x /tmp/s; /tmp/s 1; exec /tmp/s 2' | tr '\n' ' ')" "script 1 script 2 "
same "by its name" "$(guest /tmp/bin/buildkit-qemu-x86_64 uname -m 2>&1)" x86_64
