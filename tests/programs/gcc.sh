# gcc -O2 compiles a program of a thousand lines, which then runs; also -O0, -g, assembler output, errors, make, ar, a shared library.
#@ long = takes minutes under two emulators
#@ limit = 900
python3 - > big.c <<'P'
print("#include <stdio.h>\n#include <stdint.h>\n#include <string.h>\n#include <math.h>\nstatic uint64_t h = 1469598103934665603ull; static void mix(uint64_t x) { h = (h ^ x) * 1099511628211ull; }")
for i in range(160):
    print(f"static uint64_t f{i}(uint64_t a, uint64_t b) {{\n    uint64_t r = a;\n    for (int i = 0; i < {i % 7 + 2}; i++) {{\n        r = (r << {i % 31 + 1}) ^ (b >> {i % 17 + 1}) ^ (r * {2 * i + 1}u);\n        if (r & {1 << (i % 20)}) r += b; else r -= {i};\n    }}\n    return r" + (f" + f{i-1}(b, r >> 1)" if i % 5 else "") + ";\n}")
print("int main(void) {\n    double d = 0;")
for i in range(160): print(f"    mix(f{i}({i * 7919}, h)); d += sin(h % 1000 / {i + 1}.0);")
print('    char s[64]; snprintf(s, sizeof s, "%.10f", d); for (size_t i = 0; i < strlen(s); i++) mix(s[i]);\n    printf("%016llx %s\\n", (unsigned long long)h, s);\n    return h % 100;\n}')
P
wc -l < big.c
for o in -O2 "-O0 -g" "-O3 -march=x86-64-v2 -flto=1"; do gcc $o -o big big.c -lm; echo $?; md5sum big; ./big; echo $?; done
gcc -O2 -S big.c -o big.s; md5sum big.s; gcc -E big.c | wc -l; gcc -O2 -c big.c; nm big.o | wc -l; objdump -d big.o | md5sum; size big.o; strip big; ./big
printf 'int f(int x) { return x * 3; }' > l.c; printf '#include <stdio.h>\nint f(int); int main() { printf("%%d\\n", f(14)); }' > m.c; gcc -shared -fPIC -o libl.so l.c; gcc m.c -L. -ll -Wl,-rpath,'$ORIGIN' -o m; ./m; gcc -c l.c; ar rcs libs.a l.o; gcc m.c libs.a -static -o ms; ./ms; ldd m | grep -c libl
printf 'int main( { return 0 }\n' > bad.c; gcc bad.c; echo $?; printf 'int main() { return undefined(); }\n' > bad.c; gcc bad.c 2>&1 | grep -c undefined; printf 'all: a.o b.o\n\tcat $^\n%%.o: %%.c\n\tgcc -c $< && echo $@ > $@\n' > Makefile; echo 'int a;' > a.c; echo 'int b;' > b.c; make; make -n clean; echo $?; touch a.c; make -j2; printf 'define(`sq'"'"', `eval($1*$1)'"'"')sq(12)\n' | m4; as --version | head -1 | cut -c1-13
