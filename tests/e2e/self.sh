# What a program finds out about itself: its own path, name, arguments and memory, and nothing of an emulator.
# Thread: docker/for-mac#6973
#@ where = namespace vm
#@ long-vm = each of its programs takes a machine in a machine half a second
#@ run = guest
#@ flags = FP
readlink /proc/self/exe; readlink -f /proc/self/exe; bash -c 'readlink /proc/$$/exe'
cat /proc/self/comm; cat /proc/self/cmdline | tr '\0' ' '; echo
bash -c 'exec /proc/self/exe -c "echo again \$0"'; (cd /; exec ./proc/self/exe -c 'echo relative')
cp /bin/sleep ./mysleep; ./mysleep 0; ./mysleep x 2>&1; ln -s /bin/cat link; ./link /proc/self/comm; ./link /proc/self/maps | grep -ciE 'emu|binfmt'
for n in {3..30}; do eval "exec $n>&-"; done; ls /proc/self/fd | awk '$1 < 30' | wc -l; uname -sm; getconf PAGESIZE; getconf LONG_BIT; arch
grep -c . /proc/self/maps | awk '{ print ($1 > 10) }'
