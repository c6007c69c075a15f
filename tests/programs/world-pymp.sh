# Python: multiprocessing in its three ways of starting, shared memory, asyncio with subprocesses, thousands of threads.
#@ root = world
#@ each = fork spawn forkserver asyncio threads
#@ long = more than a minute under two emulators
#@ limit = 1500
case $1 in
fork|spawn|forkserver) cat > m.py <<F
import multiprocessing as mp, os
from multiprocessing import shared_memory
def sq(x): return x * x
def add(v, l, a):
    for _ in range(200):
        with l: v.value += 1
    a[os.getpid() % 4] = 1
def send(q, c): q.put(c.recv() + 1); c.close()
def shm(name):
    s = shared_memory.SharedMemory(name=name); s.buf[0] = 42; s.close()
if __name__ == "__main__":
    mp.set_start_method("$1")
    with mp.Pool(3) as p: print(sum(p.map(sq, range(50))), p.apply_async(sq, (7,)).get())
    v, l, a = mp.Value("i", 0, lock=False), mp.Lock(), mp.Array("d", 4)
    ps = [mp.Process(target=add, args=(v, l, a)) for _ in range(3)]
    [p.start() for p in ps]; [p.join() for p in ps]; print(v.value, [p.exitcode for p in ps])
    q = mp.Queue(); a, b = mp.Pipe(); p = mp.Process(target=send, args=(q, b)); p.start(); a.send(41); print(q.get()); p.join()
    s = shared_memory.SharedMemory(create=True, size=100); p = mp.Process(target=shm, args=(s.name,)); p.start(); p.join(); print(s.buf[0]); s.close(); s.unlink()
F
python3 m.py ;;
asyncio) cat > a.py <<'F'
import asyncio, signal, os
async def handle(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
async def ask(port, i):
    r, w = await asyncio.open_connection("127.0.0.1", port); w.write(b"hello %d\n" % i); b = await r.read(); w.close(); return b
async def main():
    s = await asyncio.start_server(handle, "127.0.0.1", 0); port = s.sockets[0].getsockname()[1]
    print(b"".join(await asyncio.gather(*[ask(port, i) for i in range(20)])).count(b"HELLO"))
    ps = [await asyncio.create_subprocess_exec("/bin/sh", "-c", f"read x; echo $x {i}; exit {i}", stdin=-1, stdout=-1) for i in range(3)]
    print([(await p.communicate(b"in\n"))[0] for p in ps], [p.returncode for p in ps])
    got = asyncio.Event(); asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await asyncio.wait_for(got.wait(), 60); print("signal")
    print(await asyncio.gather(*[asyncio.to_thread(sum, range(i * 1000)) for i in range(5)]))
    try: await asyncio.wait_for(asyncio.sleep(100), 0.1)
    except TimeoutError: print("timeout")
asyncio.run(main())
F
python3 a.py ;;
threads) python3 -c '
import threading; threading.stack_size(65536); n = [0]; l = threading.Lock(); go = threading.Event()
def f():
    go.wait()
    with l: n[0] += 1
ts = [threading.Thread(target=f) for _ in range(1500)]; [t.start() for t in ts]; print(threading.active_count()); go.set(); [t.join() for t in ts]; print(n[0])' ;;
esac
