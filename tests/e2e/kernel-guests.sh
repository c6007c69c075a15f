# The guests that an emulated host can't run (`host = kernel`).
# Thread: NixOS/nixpkgs#366902
#@ where = vm
#@ run = guest
#@ needs = c/vfork-static c/vfork-dynamic c/vfork_memory-static c/kernel_calls-static c/aio-static c/openat2-static c/observers-static c/sent_segv-static
for guest in vfork-static vfork-dynamic vfork_memory-static kernel_calls-static aio-static openat2-static observers-static sent_segv-static; do
    echo "== $guest"; /.guests/c/$guest; echo "exit $?"
done
