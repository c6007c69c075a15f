# gcc and make -j of a small package with a configure script.
#@ root = world
#@ long = more than a minute under two emulators
#@ limit = 1500
mkdir p; cd p; for i in {1..6}; do echo "int f$i(int x) { return x * $i + f$((i - 1))(x); }" | { echo "int f$((i - 1))(int);"; cat; } > f$i.c; done; echo 'int f0(int x) { return x; }' > f0.c; printf '#include <stdio.h>\nint f6(int); int main(int c, char **v) { printf("%%d\\n", f6(c)); return 0; }\n' > main.c
cat > configure <<'F'
#!/bin/sh
check() { printf 'checking %s... ' "$1"; echo "$2" > conftest.c; if ${CC:-gcc} -o conftest conftest.c 2>/dev/null && ./conftest; then echo yes; else echo no; fi; }
check 'for C' 'int main() { return 0; }'; check 'for memfd_create' '#define _GNU_SOURCE
#include <sys/mman.h>
int main() { return memfd_create("x", 0) < 0; }'; check 'for nothing' 'int main() { return nothing(); }'; printf 'prog: main.o f0.o f1.o f2.o f3.o f4.o f5.o f6.o libx.a\n\tgcc -o $@ main.o libx.a\nlibx.a: f0.o f1.o f2.o f3.o f4.o f5.o f6.o\n\tar rc $@ $^\n%%.o: %%.c\n\tgcc -O2 -c $<\n' > Makefile
F
chmod +x configure; ./configure; make -s -j4 && ./prog a b
