# bun (JavaScriptCore) and deno (V8), from npm: TypeScript, timers, workers, an HTTP server and its clients, files, a bundle, a test run.
#@ root = extra
#@ each = bun+ deno+
#@ long = minutes under two emulators
#@ limit = 1200
export PATH=/usr/local/bin:$PATH NO_COLOR=1 DENO_DIR=/tmp/work/deno BUN_INSTALL=/tmp/work/bun BUN_RUNTIME_TRANSPILER_CACHE_PATH=0 DENO_NO_UPDATE_CHECK=1 HOME=/tmp/work
cat > main.ts <<'E'
interface P { x: number }
const xs: P[] = Array.from({ length: 20000 }, (_, i) => ({ x: i * 7 % 10007 }));
const sorted = xs.map((p) => p.x).sort((a, b) => a - b);
console.log(sorted.slice(0, 5), sorted.reduce((a, b) => a + b, 0), 2n ** 200n);
console.log([...new Set(sorted)].length, JSON.stringify({ a: [1, "\u00fc", null] }), /(\d+)-(?<w>\w+)/u.exec("12-ab")?.groups?.w);
let sum = 0;
for (let i = 0; i < 3e6; i++) sum = (sum * 31 + i) | 0;
console.log(sum, Math.sin(0.5), new Float32Array([0.1])[0], new Date(0).toISOString());
for (let i = 0; i < 3; i++) { await new Promise((r) => setTimeout(r, 5)); console.log("tick", i); }
try { (null as any).f(); } catch (e) { console.log((e as Error).name); }
const w = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
console.log(await new Promise((r) => { w.onmessage = (e: MessageEvent) => r(e.data); w.postMessage(20); }));
w.terminate();
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
console.log(((await WebAssembly.instantiate(bytes)).instance.exports.add as (a: number, b: number) => number)(40, 2));
E
cat > worker.ts <<'E'
const fib = (n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2);
self.onmessage = (e: MessageEvent) => self.postMessage(fib(e.data));
E
case $1 in
bun)
cat > serve.ts <<'E'
const s = Bun.serve({ port: 0, hostname: "127.0.0.1", async fetch(r) { return new Response(r.method + new URL(r.url).pathname + (await r.text())); } });
const a = await Promise.all(Array.from({ length: 20 }, (_, i) => fetch(`http://127.0.0.1:${s.port}/${i}`, { method: "POST", body: "b" + i }).then((r) => r.text())));
console.log(a.join()); s.stop(true);
await Bun.write("f.txt", "written"); console.log(await Bun.file("f.txt").text(), Bun.hash("x").toString(16));
const p = Bun.spawn(["echo", "child"]); console.log(await new Response(p.stdout).text(), await p.exited);
import { Database } from "bun:sqlite"; const d = new Database(":memory:"); d.run("create table t(a)"); d.run("insert into t values (41), (1)"); console.log(d.query("select sum(a) s from t").get());
E
echo 'import { test, expect } from "bun:test"; test("adds", () => expect(1 + 1).toBe(2)); test("throws", () => expect(() => { throw new Error("x") }).toThrow("x"));' > a.test.ts
bun run main.ts; echo $?; bun run serve.ts; echo $?; bun build main.ts --minify --target=bun | md5sum; bun test 2>&1 | sed -E 's/ ?\[[0-9.]+m?s\]//'; echo $? ;;
deno)
cat > serve.ts <<'E'
const s = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (r) => new Response(r.method + new URL(r.url).pathname + (await r.text())));
const a = await Promise.all(Array.from({ length: 20 }, (_, i) => fetch(`http://127.0.0.1:${s.addr.port}/${i}`, { method: "POST", body: "b" + i }).then((r) => r.text())));
console.log(a.join()); await s.shutdown();
await Deno.writeTextFile("f.txt", "written"); console.log(await Deno.readTextFile("f.txt"));
const o = await new Deno.Command("echo", { args: ["child"] }).output(); console.log(new TextDecoder().decode(o.stdout), o.code);
E
echo 'Deno.test("adds", () => { if (1 + 1 !== 2) throw new Error(); });' > a_test.ts
deno run -A main.ts; echo $?; deno run -A serve.ts; echo $?; deno check main.ts > /dev/null 2>&1; echo $?; deno fmt --check worker.ts > /dev/null 2>&1; echo $?; deno lint main.ts 2>&1 | grep -c error; deno test -A 2>&1 | sed -E 's/ \([0-9.]+[^)]*s\)//' | grep -v ^$; echo $? ;;
esac
