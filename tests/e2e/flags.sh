# The registration's flags as a real kernel carries them out: P (argv[0]), O (programs that may be executed and not read), C (set-user-id).
# F alone is what it takes to work in other root file systems.
# Thread: multiarch/qemu-user-static#17
#@ where = vm
#@ run = node
#@ needs = c/identity-static
install_tools
probe=/.guests/c/identity-static
cp "$ROOT$probe" "$ROOT/tmp/suid"; chown 0:0 "$ROOT/tmp/suid"; chmod 4755 "$ROOT/tmp/suid"
cp "$ROOT$probe" "$ROOT/tmp/only"; chown 0:0 "$ROOT/tmp/only"; chmod 711 "$ROOT/tmp/only"
for word in argv0 execfn comm; do
    printf '#!%s %s\n' $probe $word >"$ROOT/tmp/tells-$word"; chmod 755 "$ROOT/tmp/tells-$word"
done
# One line of what a program says.
one() { "$@" 2>&1 | tr '\n' ' '; }
renamed() { chroot "$ROOT" /tmp/native/busybox sh -c 'exec -a ARGV0 "$@"' sh "$@"; }

for flags in F FP FO FPO POCF; do
    $NODE/xemu binfmt install --flags $flags >/dev/null
    case $flags in *P*) name=ARGV0 ;; *) name=identity-static ;; esac
    case $flags in *C*) euid=0 secure=1 ;; *) euid=1 secure=0 ;; esac
    # Started by the kernel's own caller...
    same "$flags: argv[0]" "$(one renamed $probe argv0 exe comm)" "argv0=$name exe=identity-static comm=identity-static "
    same "$flags: script" "$(one guest /tmp/tells-argv0; one guest /tmp/tells-execfn; one guest /tmp/tells-comm)" "argv0=identity-static execfn=tells-execfn comm=tells-comm "
    same "$flags: no trace" "$(one guest $probe flags execfd environment page)" "flags=0 execfd=none environment=0 page=4096 "
    same "$flags: set-user-id" "$(one direct_as daemon /tmp/suid ids secure told)" "ids=1 $euid 1 1 told=1 1 1 1 secure=$secure "
    # ... and by a program that is itself emulated, which keeps argv[0] whatever the flags are.
    same "$flags: argv[0] by a guest" "$(one guest /bin/bash -c "exec -a ARGV0 $probe argv0")" "argv0=ARGV0 "
    same "$flags: set-user-id by a guest" "$(one guest_as 1 /bin/sh -c '/tmp/suid ids secure')" "ids=1 $euid 1 1 secure=$secure "
    case $flags in
    *O*)
        same "$flags: not readable" "$(one direct_as daemon /tmp/only argv0 exe)" "argv0=only exe=only "
        same "$flags: not readable, by a guest" "$(one guest_as 1 /bin/sh -c '/tmp/only ids exe')" "exe=only ids=1 1 1 1 "
        ;;
    *) direct_as daemon /tmp/only >/dev/null 2>&1; same "$flags: not readable" $? 126 ;;
    esac
    # With a secure program no variable of the caller's counts, least of all one that has a file written.
    for variable in XEMU_STRACE=1 QEMU_STRACE=1 XEMU_LOG_FILE=/tmp/written XEMU_LOG=trace XEMU_DUMP=guest QEMU_LOG=in_asm QEMU_LOG_FILENAME=/tmp/written; do
        export "$variable"
    done
    if [ "$secure" = 1 ]; then
        same "$flags: variables" "$(one direct_as daemon /tmp/suid ids)" "ids=1 0 1 1 "
        [ ! -e "$ROOT/tmp/written" ]; same "$flags: no file written" $? 0
        unset XEMU_LOG_FILE QEMU_LOG_FILENAME
        same "$flags: variables, by a guest" "$(guest_as 1 /bin/sh -c '/tmp/suid ids' 2>/dev/null | grep ids)" "ids=1 0 1 1"
    fi
    rm -f "$ROOT/tmp/written"
    unset XEMU_STRACE QEMU_STRACE XEMU_LOG_FILE XEMU_LOG XEMU_DUMP QEMU_LOG QEMU_LOG_FILENAME
    same "$flags: secret" "$(SECRET=1 one direct_as daemon /tmp/suid secret)" "secret=$([ $secure = 1 ] && echo hidden || echo shown) "
    $NODE/xemu binfmt uninstall >/dev/null
done
