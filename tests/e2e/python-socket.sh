# Python's own tests of sockets: qemu-user converts control messages itself and loses MSG_CTRUNC (34 of the 740 tests), a kernel does not.
#@ where = vm
#@ long-vm = takes minutes in the machine
#@ run = guest
#@ limit = 1500
cd /tmp
# VSOCK wants a host that answers; the number of skipped tests depends on the kernel's modules and is not compared.
timeout 1400 python3 -m test -u none --timeout 1200 -i '*VSOCK*' test_socket > log 2>&1; status=$?
grep -E '^Result' log
[ $status = 0 ] || tail -40 log
exit $status
