# Python as people use it: the language, big integers, floats, threads, processes, files, C modules.
cat > p.py <<'P'
import asyncio, collections, concurrent.futures, ctypes, dataclasses, datetime, decimal, fractions, functools, gzip, hashlib, hmac, io, itertools, json, lzma, math, mmap, multiprocessing, os, pickle, queue, random, re, select, signal, socket, sqlite3, statistics, struct, subprocess, sys, tempfile, threading, time, unicodedata, uuid, zlib, bz2, csv, array, bisect, heapq, textwrap, traceback, xml.etree.ElementTree as ET
print(sys.version_info[:2], sys.byteorder, sys.maxsize, sys.float_info.max, os.uname().machine)
print(sum(i * i for i in range(100000)), 3 ** 500 % 10 ** 20, math.factorial(100) >> 300, hash((1, 2.5)), hash(2.0 ** 70))
random.seed(42); print([random.randint(0, 1000) for _ in range(5)], random.gauss(0, 1), random.sample(range(100), 3))
print(repr(0.1 + 0.2), 1e308 * 10, float("nan"), math.pi.hex(), round(2.675, 2), math.fsum([0.1] * 10), math.sin(1e10), math.gamma(5.5), (1 + 2j) ** 0.5)
decimal.getcontext().prec = 60; print(decimal.Decimal(2).sqrt(), fractions.Fraction(1, 3) + fractions.Fraction(1, 6), statistics.stdev([1, 2, 3.5]))
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"): print(name, hashlib.new(name, b"x" * 10000).hexdigest()[:32])
print(hmac.new(b"k", b"m", "sha256").hexdigest(), zlib.crc32(b"abc" * 1000), zlib.adler32(b"abc"), len(zlib.compress(b"abc" * 10000, 9)), lzma.decompress(lzma.compress(b"q" * 9999)) == b"q" * 9999, bz2.decompress(bz2.compress(b"z" * 999)) == b"z" * 999)
print(struct.pack("<bHiQfd5s", -1, 2, -3, 4, 1.5, -2.5, b"abc").hex(), array.array("d", [1, 2]).tobytes().hex()); print(json.dumps({"a": [1, 2.5, None, True, "é\n"]}, indent=1, sort_keys=True)); print(re.sub(r"(\w+) (\w+)", r"\2 \1", "hello world foo bar"), re.findall(r"(?i)\bT\w+", "the Tree took Time"), unicodedata.name("é"), "ǅ".lower(), "straße".upper(), "日本".encode("utf-16-le").hex())
db = sqlite3.connect(":memory:"); db.execute("create table t(a integer primary key, b text, c real)"); db.executemany("insert into t(b, c) values(?, ?)", ((str(i) * 3, i / 7) for i in range(1000))); print(db.execute("select count(*), sum(c), max(b), group_concat(a) from t where a % 97 = 0").fetchone())
total = 0; lock = threading.Lock()
def add(n):
    global total
    for _ in range(n):
        with lock: total += 1
ts = [threading.Thread(target=add, args=(500,)) for _ in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print(total)
q = queue.Queue(); threading.Thread(target=lambda: [q.put(i) for i in range(5)]).start(); print([q.get(timeout=10) for _ in range(5)])
with concurrent.futures.ThreadPoolExecutor(4) as e: print(list(e.map(lambda x: x * x, range(10))))
ctx = multiprocessing.get_context("fork")
with ctx.Pool(2) as p: print(p.map(math.isqrt, range(1000, 1010)))
r = subprocess.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"piped", capture_output=True); print(r); print(subprocess.check_output("echo $((6*7))", shell=True, text=True))
# Without preexec_fn posix_spawn tells of the error through memory shared with the child, which an emulated host does not give (fixture vfork).
try: subprocess.run(["/nonexistent"], preexec_fn=lambda: None)
except OSError as e: print(e)
signal.signal(signal.SIGUSR1, lambda s, f: print("signal", s)); os.kill(os.getpid(), signal.SIGUSR1); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda *a: print("alarm")); time.sleep(0.3)
a, b = socket.socketpair(); a.sendall(b"data"); print(select.select([b], [], [], 5)[0] == [b], b.recv(10)); s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); d, _ = s.accept(); c.sendall(b"tcp"); print(d.recv(9)); c.close(); d.close(); s.close()
async def worker(n): await asyncio.sleep(0.01 * n); return n * n
async def main(): print(await asyncio.gather(*(worker(i) for i in range(5)))); p = await asyncio.create_subprocess_exec("echo", "async", stdout=-1); print((await p.communicate())[0])
asyncio.run(main())
with tempfile.TemporaryFile() as f: f.write(b"0" * 5000); f.flush(); m = mmap.mmap(f.fileno(), 5000); m[10:13] = b"abc"; print(m[8:15], m.find(b"abc")); m.close()
libc = ctypes.CDLL(None); libc.strlen.restype = ctypes.c_size_t; print(libc.strlen(b"hello")); cb = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda x, y: x[0] - y[0]); arr = (ctypes.c_int * 6)(5, 3, 9, 1, 7, 2); libc.qsort(arr, 6, 4, cb); print(list(arr)); libm = ctypes.CDLL("libm.so.6"); libm.pow.restype = ctypes.c_double; libm.pow.argtypes = [ctypes.c_double] * 2; print(libm.pow(2, 0.5))
@dataclasses.dataclass(order=True)
class P: x: int; y: str = "d"
print(sorted([P(3), P(1, "z"), P(1, "a")]), pickle.loads(pickle.dumps(P(9)))); print(datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC) + datetime.timedelta(days=366), uuid.uuid5(uuid.NAMESPACE_DNS, "example.org")); print(ET.tostring(ET.fromstring("<a><b x='1'>t</b></a>")))
def gen():
    x = yield 1
    while True: x = yield x * 2
g = gen(); next(g); print([g.send(i) for i in range(5)], list(itertools.islice(itertools.permutations("abcd", 3), 3)), functools.reduce(lambda x, y: x * y, range(1, 25)))
pid = os.fork()
if pid == 0: os._exit(17)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -9 $$"], os.environ); print(os.waitpid(pid, 0)[1])
try: (lambda: 1 / 0)()
except ZeroDivisionError: print(traceback.format_exc().splitlines()[-1])
def deep(n): return n and deep(n - 1) + 1
print(deep(800)); print(sorted(os.listdir("/etc"))[:5], os.path.realpath("/bin/sh")); n = 200; sieve = bytearray([1]) * 200000
for i in range(2, 448):
    if sieve[i]: sieve[i * i :: i] = bytes(len(sieve[i * i :: i]))
print(sum(sieve) - 2); print(eval("[x ** 2 for x in range(5)]"), compile("1+1", "", "eval").co_code.hex()); sys.exit(6)
P
python3 p.py; echo $?; echo 'print(input())' > i.py; echo line | python3 i.py; python3 -c 'raise SystemExit("bye")'; echo $?; python3 -c '1/0' 2>&1 | tail -1; python3 -X importtime -c 'import json' 2>&1 | wc -l; python3 -m json.tool <<< '{"b": 1, "a": [1,2]}'; python3 -m zipfile -c z.zip p.py; python3 -m zipfile -l z.zip | awk '{print $1, $NF}'; python3 -m base64 -e p.py | md5sum; python3 -m venv --without-pip v; v/bin/python -c 'import sys; print(sys.prefix)'; python3 -m pydoc math > doc; head -3 doc; python3 -m timeit -n 1 -r 1 pass | wc -l; python3 -I -S -E -c 'print(1)'
