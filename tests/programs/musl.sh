# A dynamic and a static musl program, made with musl's headers and Debian's gcc, run by musl's own loader.
# Thread: ptitSeb/box64#1027
#@ needs = c/printf-static
cat > m.c <<'C'
#include <dlfcn.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static _Thread_local int tls = 5; static void *th(void *p) { tls += (long)p; return (void *)(long)tls; } static void on(int s) { write(1, "signal\n", 7); }
int main(int c, char **v) {
    setlocale(LC_ALL, ""); printf("%s %d %.17g %Lf\n", v[0] ? "run" : "", c, sin(1.0) * exp(2.5), 1.0L / 3);
    pthread_t t[4]; long s = 0; for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, th, (void *)i); for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); s += (long)r; } printf("%ld %d\n", s, tls);
    signal(SIGUSR1, on); raise(SIGUSR1); fflush(stdout); if (!fork()) _exit(3); int st; wait(&st); printf("%d %d\n", WEXITSTATUS(st), system("exit 4") >> 8);
    char *p = malloc(1 << 20); memset(p, 1, 1 << 20); p = realloc(p, 3 << 20); printf("%d\n", p[999]); free(p); FILE *f = popen("echo popen", "r"); char b[32]; fgets(b, 32, f); fputs(b, stdout); return pclose(f) + 9;
}
C
L=/usr/lib/x86_64-linux-musl; I=/usr/include/x86_64-linux-musl
gcc -O2 -w -nostdinc -isystem $I -isystem /usr/lib/gcc/x86_64-linux-gnu/*/include -c m.c -fPIC -fno-stack-protector
gcc -static -nostdlib -o ms $L/crt1.o $L/crti.o m.o -L$L -lc /usr/lib/gcc/x86_64-linux-gnu/*/libgcc.a $L/crtn.o; ./ms a; echo $?
gcc -nostdlib -pie -Wl,-dynamic-linker,/lib/ld-musl-x86_64.so.1 -o md $L/Scrt1.o $L/crti.o m.o -L$L -lc $L/crtn.o; ./md a b; echo $?; /lib/ld-musl-x86_64.so.1 --list ./md 2>&1 | sed 's/(0x.*//'; /lib/ld-musl-x86_64.so.1 ./md; echo $?
