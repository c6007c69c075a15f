# A static Go program: goroutines, channels, the garbage collector, maps, big numbers, files, processes. Built by `go build`, natively, before the run.
#@ needs = go/work
/.guests/go/work; echo $?; GOMAXPROCS=1 /.guests/go/work > one; GOMAXPROCS=8 GOGC=20 /.guests/go/work > eight; cmp one eight && echo same; /.guests/go/work panic 2>&1 | head -1; echo ${PIPESTATUS[0]}
echo 'export const f = (x: number) => x ** 2; console.log(f(3) ?? `t${1}`)' > a.ts; echo 'import {f} from "./a"; class A { #p = f(2); get p() { return this.#p } }; console.log(new A().p)' > b.ts; esbuild --bundle --minify --target=es2018 b.ts; esbuild --bundle b.ts --sourcemap=inline --format=esm | md5sum; esbuild bad.ts 2>&1 | head -2
