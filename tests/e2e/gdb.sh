# The gdb stub on a real kernel: a child that runs on its parent's memory does not stop at the parent's breakpoint; a thread that waits in a system call is taken out of it where a register of its is changed, and waits again.
# Registers by number: 3 is RBP's neighbour RDX, 39 (hexadecimal) ORIG_RAX.
#@ where = vm
#@ run = node
#@ needs = gdb/lent-static
$NODE/xemu binfmt install >/dev/null
set -- $(guest /.guests/gdb/lent-static where)
mark=$1 marks=$2 ended=$3
debugger() { guest /usr/bin/perl /.cases/lib/gdb.pl /tmp/socket "$@" 2>&1; }
$NODE/xemu -g "$ROOT/tmp/socket" "$ROOT/.guests/gdb/lent-static" &
program=$!
debugger "Z0,$mark,1" 'vCont;c' "m$marks,4" "z0,$mark,1" 'vCont;c' '!' 'p39' 'P3=2a00000000000000' 'p3' 'vCont;c' '!' 'p39' "m$ended,4" 'k' >/tmp/said
wait $program; same "killed" $? 137
line() { sed -n "$1p" /tmp/said; }
same "a breakpoint is set" "$(line 1)" "Z0,$mark,1 OK"
has "the parent stops" "$(line 2)" "vCont;c T05"
same "the child has gone over it" "$(line 3)" "m$marks,4 01000000"
has "an interrupt" "$(line 5)" "! T02"
same "in read(2)" "$(line 6)" "p39 0000000000000000"
same "a register is changed" "$(line 7) $(line 8)" "P3=2a00000000000000 OK p3 2a00000000000000"
has "another interrupt" "$(line 9)" "! T02"
same "still in read(2)" "$(line 10)" "p39 0000000000000000"
same "which has not ended" "$(line 11)" "m$ended,4 00000000"
[ "$failed" = 0 ] || cat /tmp/said >&2
