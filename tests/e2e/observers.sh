# Accesses are ordered from the moment at which others can see memory, and not before (docs/memory-model.md).
#@ where = vm
#@ run = node
#@ needs = c/observers-static
$NODE/xemu binfmt install >/dev/null
ordered() { XEMU_LOG=info guest /.guests/c/observers-static "$1" >/tmp/observers 2>&1 || echo "exit $?"; grep -c "ordered accesses" /tmp/observers; }
for action in none fork vfork posix_spawn private private-file; do same "$action" "$(ordered $action)" 0; done
# Of files that are read by a shared mapping only those on a disk are exempt; all of this machine's lie in memory.
for action in reading thread clone-vm anonymous writable no-access memfd shmat aio; do same "$action" "$(ordered $action)" 1; done
same "asked for" "$(XEMU_MEMORY_MODEL=ordered XEMU_LOG=info guest /.guests/c/observers-static anonymous 2>&1 | grep -c "ordered accesses")" 0
$NODE/xemu binfmt uninstall >/dev/null
