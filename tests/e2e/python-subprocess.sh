# Python's own tests of child processes: posix_spawn tells of exec's error through memory that it shares with the child, which only a real kernel gives.
#@ where = vm
#@ long-vm = takes minutes in the machine
#@ run = guest
#@ limit = 1500
cd /tmp
python3 - <<'P'
import subprocess
for preexec in None, lambda: None:
    try: subprocess.run(["/nonexistent"], preexec_fn=preexec)
    except OSError as e: print(e)
P
timeout 1400 python3 -m test -u none --timeout 1200 -m 'POSIXProcessTestCase' test_subprocess > log 2>&1; status=$?
grep -E '^(Total tests|Result)' log
[ $status = 0 ] || tail -40 log
exit $status
