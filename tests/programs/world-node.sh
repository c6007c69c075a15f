# node (V8): compilers, garbage collector, libuv, workers, WebAssembly, children (nodejs/docker-node#1946, #1335, orbstack#377).
#@ root = world
#@ each = eval jit gc async http workers wasm child cluster
#@ long = more than a minute under two emulators
#@ limit = 1500
case $1 in
eval) node -e 'console.log(process.version, [1,2,3].map(x => x * x), typeof Intl, 2n ** 100n, /(\d+)-(?<w>\w+)/u.exec("12-ab").groups.w)' ;;
jit) node -e '
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }
class P { constructor(x, y) { this.x = x; this.y = y } add(o) { return new P(this.x + o.x, this.y + o.y) } }
let p = new P(0, 0); for (let i = 0; i < 200000; i++) p = p.add(new P(i, i * 0.5));
const a = new Float64Array(1000); for (let r = 0; r < 100; r++) for (let i = 0; i < a.length; i++) a[i] = Math.sqrt(i * r) + a[i] / 3;
const m = new Map(); for (let i = 0; i < 20000; i++) m.set("k" + i % 500, (m.get("k" + i % 500) || 0) + i);
function poly(x) { return x.v + 1 } let s = 0; for (let i = 0; i < 60000; i++) s += poly(i % 3 ? { v: i } : { w: 1, v: -i });
console.log(fib(22), p.x, p.y, a.reduce((x, y) => x + y).toFixed(6), m.get("k7"), s)' ;;
gc) node --expose-gc --max-old-space-size=64 -e 'let keep = []; for (let r = 0; r < 30; r++) { for (let i = 0; i < 3000; i++) keep.push({ r, i, s: "x".repeat(i % 50), n: keep[i % (keep.length || 1)] }); if (r % 5 == 4) { keep = keep.slice(-2000).map(o => ({ ...o, n: null })); gc() } } console.log(keep.length, keep[100].s.length)' ;;
async) node -e 'const fs = require("fs/promises"); (async () => { await fs.writeFile("f", "data".repeat(1000)); const all = await Promise.all([...Array(20).keys()].map(async i => { const b = await fs.readFile("f"); return b.length + i })); console.log(all.join(" ")); const t = Date.now(); await new Promise(r => setTimeout(r, 50)); console.log(Date.now() - t >= 49); const c = require("crypto"); console.log(c.createHash("sha256").update("x").digest("hex")); c.pbkdf2("p", "s", 100, 16, "sha1", (e, k) => console.log(k.toString("hex"))); require("zlib").gzip("a".repeat(5000), (e, z) => console.log(require("zlib").gunzipSync(z).length)); require("dns").lookup("localhost", { family: 4 }, (e, a) => console.log(a)) })()' | sort ;;
http) node -e '
const http = require("http"), s = http.createServer((q, r) => { let b = ""; q.on("data", d => b += d).on("end", () => r.end(q.method + q.url + b)) });
s.listen(0, async () => { const u = "http://127.0.0.1:" + s.address().port; const all = await Promise.all([...Array(20).keys()].map(i => fetch(u + "/" + i, i % 2 ? { method: "POST", body: "b" + i } : {}).then(r => r.text()))); console.log(all.join(" ")); s.close(); s.closeAllConnections() })' ;;
workers) node -e '
const { Worker, isMainThread, workerData, parentPort } = require("worker_threads");
const code = `const { workerData: d, parentPort: p } = require("worker_threads"); const a = new Int32Array(d.sab); for (let i = 0; i < 20000; i++) Atomics.add(a, 0, 1); Atomics.add(a, 1, 1); Atomics.notify(a, 1); p.postMessage({ n: d.n, f: (function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) })(18) })`;
const sab = new SharedArrayBuffer(64), a = new Int32Array(sab); let left = 4, sum = 0;
for (let n = 0; n < 4; n++) new Worker(code, { eval: true, workerData: { sab, n } }).on("message", m => { sum += m.f + m.n }).on("exit", c => { if (!--left) console.log(a[0], a[1], sum, c) })' ;;
wasm) node -e '
const b = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,126,1,126,3,2,1,0,7,7,1,3,102,97,99,0,0,10,23,1,21,0,32,0,80,4,126,66,1,5,32,0,32,0,66,1,125,16,0,126,11,11]);
WebAssembly.instantiate(b).then(({ instance: i }) => { let s = 0n; for (let k = 0; k < 3000; k++) s += i.exports.fac(BigInt(k % 20)); console.log(i.exports.fac(20n), s); try { i.exports.fac(-1n) } catch (e) { console.log(e.constructor.name) } })' ;;
child) node -e '
const { spawn, execFileSync, fork } = require("child_process"); console.log(execFileSync("/bin/echo", ["sync"]).toString().trim());
let left = 3; for (let i = 0; i < 3; i++) { let o = ""; const c = spawn("/bin/sh", ["-c", "read x; echo got $x; exit " + i]); c.stdout.on("data", d => o += d); c.on("close", code => { out[i] = o.trim() + " " + code; if (!--left) { console.log(out.join(", ")); const k = spawn("sleep", ["100"]); k.on("exit", (c, s) => console.log(c, s)); k.kill("SIGTERM") } }); c.stdin.end("in" + i + "\n") } const out = []' ;;
cluster) cat > c.js <<'F'
const c = require("cluster"), http = require("http");
if (c.isPrimary) {
  const w = [c.fork(), c.fork()]; let up = 0, gone = 0;
  c.on("listening", async (x, a) => { if (++up < 2) return; const t = await Promise.all([1, 2, 3, 4].map(() => fetch("http://127.0.0.1:" + a.port).then(r => r.text()))); console.log(t.join(" ")); w.forEach(x => x.process.kill()) });
  c.on("exit", (w, code, signal) => { console.log(code, signal); if (++gone == 2) process.exit() });
} else http.createServer((q, r) => { r.setHeader("connection", "close"); r.end("hi") }).listen(0);
F
node c.js ;;
esac
