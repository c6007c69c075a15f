# The guests that an emulated host can't run (`host = kernel`), and one whose system calls such a host now and then dies in (code_writers).
# Thread: NixOS/nixpkgs#366902
#@ where = vm
#@ run = guest
#@ needs = c/vfork-static c/vfork-dynamic c/vfork_memory-static c/kernel_calls-static c/aio-static c/openat2-static c/observers-static c/sent_segv-static c/code_writers-static c/kernel_writers-static
for guest in vfork-static vfork-dynamic vfork_memory-static kernel_calls-static aio-static openat2-static observers-static sent_segv-static code_writers-static kernel_writers-static; do
    echo "== $guest"; /.guests/c/$guest; echo "exit $?"
done
