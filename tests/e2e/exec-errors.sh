# What execve refuses, as the shell tells it (126 and 127), and the errno itself.
#@ where = namespace vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = guest
exec 2>&1
try() { "$@"; echo "= $?"; }
try ./missing
try no-such-program-anywhere
mkdir folder; try ./folder
echo 'echo no line $1' > plain; try ./plain; chmod +x plain; try ./plain arg
: > empty; chmod +x empty; try ./empty
printf '#!/nonexistent/interpreter\n' > noint; chmod +x noint; try ./noint
printf '#!\n' > bare; chmod +x bare; try ./bare
printf '#!./loop\n' > loop; chmod +x loop; try ./loop
printf '#!./folder\n' > dirint; chmod +x dirint; try ./dirint
printf '\177ELF' > elf; chmod +x elf; try ./elf
head -c 100 /bin/true > cut; chmod +x cut; try ./cut
head -c 4096 /dev/zero > zeros; chmod +x zeros; try ./zeros
ln -s nowhere dangling; try ./dangling
ln -s me me; try ./me
try ./plain/below
cp /bin/true copy; chmod 644 copy; try ./copy; chmod 755 copy; try ./copy
try /etc/passwd
# From a program that is not a shell, which would run what the kernel refuses: the errno itself.
perl -e '$| = 1; $ENV{PATH} = ""; for (@ARGV) { if (!fork) { exec { $_ } "x"; print "$_: ", $! + 0, " $!\n"; exit } wait }' \
    ./missing ./folder ./plain ./empty ./noint ./loop ./elf ./cut ./zeros ./dangling ./me /etc/passwd
