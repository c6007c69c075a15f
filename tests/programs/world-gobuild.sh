# The Go tool chain: go build of a small module (golang/go#67355, #49405).
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 3000
export GOCACHE=/tmp/home/cache GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off
printf 'module m\ngo 1.22\n' > go.mod; printf 'package main\n\nimport "os"\n\nfunc add(a, b int) int { return a + b }\nfunc main() { os.Stdout.WriteString("hello\\n"); os.Exit(add(1, 2)) }\n' > main.go; printf 'package main\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) { if add(2, 2) != 4 { t.Fatal("bad") } }\n' > main_test.go
go env GOOS GOARCH; CGO_ENABLED=0 go build -o prog . && ./prog; echo $?
