# Mixed load (fixtures/guests/c/soak.c) for two minutes on a real kernel: memory must not grow, the code cache's small room apart.
#@ where = vm
#@ long-vm = it takes two minutes
#@ run = guest
#@ needs = c/soak-static
XEMU_CACHE_SIZE=4M /.guests/c/soak-static 120 memory; echo "exit $?"
