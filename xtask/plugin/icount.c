/* A QEMU plugin (API 1, as in 7.2) that counts what a process executes as AArch64 code. It declares what it uses, so that no header is
   needed. Arguments: out=FILE, to which each process appends one line at its end and before an execve; exact=1, counts that are exact with
   several threads too (slower); hot=N, the N blocks outside the binary that execute most, with their instruction words, as further lines.

   A block is classified when QEMU translates it and only counted when it runs. A line is `key=value` words: insns, loads, stores, barriers
   (DMB, DSB), acqrel (LDAR, LDAPR, STLR and exclusive or plain forms of them), atomics (LSE, CAS, exclusives), emitted (instructions outside
   the binary that QEMU loaded: what an emulator translated), syscalls, faults (minor page faults, QEMU's own included), resident (KiB of
   the binary and of what the process mapped, at its end). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *counter, uint64_t add);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                                          uint64_t, uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, int64_t));
extern uint64_t qemu_plugin_start_code(void);
extern uint64_t qemu_plugin_end_code(void);
extern const char *qemu_plugin_path_to_binary(void);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

/* System calls of AArch64 that matter here. */
enum { NR_EXECVE = 221, NR_BRK = 214, NR_MUNMAP = 215, NR_MREMAP = 216, NR_CLONE = 220, NR_MMAP = 222, NR_EXECVEAT = 281, NR_CLONE3 = 435 };

struct block {
    struct block *next;
    uint64_t runs, at;
    uint32_t *words;
    uint16_t insns, loads, stores, barriers, acqrel, atomics, emitted;
};

static struct block *blocks;
static uint64_t syscalls, image_from, image_to;
static char out[4096];
static int exact, hot;
static pid_t self, first;

/* Classes of one instruction word: Arm ARM, C4.1 (loads and stores: bits 27 and 25 are 1, 0). */
static void classify(struct block *b, uint32_t w) {
    if ((w & 0xfffff01f) == 0xd503301f) {
        uint32_t op = w >> 5 & 7;
        b->barriers += op == 4 || op == 5;
        return;
    }
    if ((w & 0x0a000000) != 0x08000000) return;
    if ((w & 0x3f000000) == 0x08000000) {
        /* Exclusives, ordered forms, CAS: size 001000 o2 L o1 Rs o0. */
        int o2 = w >> 23 & 1, load = w >> 22 & 1, o1 = w >> 21 & 1, o0 = w >> 15 & 1;
        int cas = o1 && (o2 || !(w >> 31));
        b->acqrel += cas ? load || o0 : o0;
        b->atomics += cas || !o2;
        b->loads += cas || load;
        b->stores += cas || !load;
        return;
    }
    if ((w & 0x3f200c00) == 0x38200000) {
        /* LSE: LDADD and so on, SWP; LDAPR has the same place. */
        if ((w & 0x3fe0fc00) == 0x38a0c000) b->acqrel++, b->loads++;
        else b->atomics++, b->loads++, b->stores++, b->acqrel += (w >> 22 & 3) != 0;
        return;
    }
    if ((w & 0x3f200c00) == 0x19000000) {
        /* LDAPUR, STLUR. */
        b->acqrel++;
        if (w >> 22 & 3) b->loads++;
        else b->stores++;
        return;
    }
    if ((w & 0x3b000000) == 0x18000000) {
        b->loads++; /* literal */
        return;
    }
    if ((w & 0x3a000000) == 0x28000000 || (w & 0xbe000000) == 0x0c000000) {
        /* Pairs; structures. */
        if (w >> 22 & 1) b->loads++;
        else b->stores++;
        return;
    }
    if ((w & 0x3a000000) == 0x38000000) {
        int vector = w >> 26 & 1, opc = w >> 22 & 3, size = w >> 30;
        if (!vector && size == 3 && opc == 2) return; /* PRFM */
        int load = vector ? opc & 1 : opc != 0;
        if (load) b->loads++;
        else b->stores++;
    }
}

static void ran(unsigned vcpu, void *block) {
    __atomic_fetch_add(&((struct block *)block)->runs, 1, __ATOMIC_RELAXED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    struct block *b = calloc(1, sizeof *b);
    if (!image_from) image_from = qemu_plugin_start_code(), image_to = qemu_plugin_end_code();
    b->at = qemu_plugin_tb_vaddr(tb);
    b->insns = qemu_plugin_tb_n_insns(tb);
    b->emitted = b->at >= image_from && b->at < image_to ? 0 : b->insns;
    if (hot && b->emitted) b->words = calloc(b->insns, sizeof *b->words);
    for (size_t i = 0; i < b->insns; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof word);
        classify(b, word);
        if (b->words) b->words[i] = word;
    }
    b->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&blocks, &b->next, b, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
    if (exact) qemu_plugin_register_vcpu_tb_exec_cb(tb, ran, 0, b);
    else qemu_plugin_register_vcpu_tb_exec_inline(tb, 0 /* add */, &b->runs, 1);
}

/* What the process mapped: disjoint ranges. */
static struct range { uint64_t from, to; } ranges[8192];
static size_t range_count;

static void remove_range(uint64_t from, uint64_t to) {
    for (size_t i = 0; i < range_count; i++) {
        struct range r = ranges[i];
        if (r.to <= from || r.from >= to) continue;
        ranges[i] = ranges[--range_count];
        i--;
        if (r.from < from) ranges[range_count++] = (struct range){r.from, from};
        if (r.to > to && range_count < 8190) ranges[range_count++] = (struct range){to, r.to};
    }
}

static void add_range(uint64_t from, uint64_t to) {
    remove_range(from, to);
    for (size_t i = 0; i < range_count; i++) {
        if (ranges[i].to == from) from = ranges[i].from, ranges[i--] = ranges[--range_count];
        else if (ranges[i].from == to) to = ranges[i].to, ranges[i--] = ranges[--range_count];
    }
    if (range_count < 8190) ranges[range_count++] = (struct range){from, to};
}

/* KiB of [from, to) that are in memory, by /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst: bit 63 is "present"). */
static uint64_t present(FILE *pagemap, uint64_t from, uint64_t to) {
    uint64_t entries[512], pages = 0;
    from >>= 12, to >>= 12;
    fseek(pagemap, from * 8, SEEK_SET);
    while (from < to) {
        size_t n = fread(entries, 8, to - from < 512 ? to - from : 512, pagemap);
        if (!n) break;
        for (size_t i = 0; i < n; i++) pages += entries[i] >> 63;
        from += n;
    }
    return pages * 4;
}

static uint64_t resident(void) {
    FILE *maps = fopen("/proc/self/smaps", "r"), *pagemap = fopen("/proc/self/pagemap", "r");
    const char *binary = qemu_plugin_path_to_binary();
    char line[4096];
    uint64_t from = 0, to = 0, kib = 0, rss;
    int image = 0;
    while (maps && pagemap && fgets(line, sizeof line, maps)) {
        unsigned long a, b;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &a, &b, mode) == 3) from = a, to = b, image = binary && strstr(line, binary) != NULL;
        else if (sscanf(line, "Rss: %lu", &rss) == 1 && rss) {
            if (image) kib += rss;
            else
                for (size_t i = 0; i < range_count; i++) {
                    uint64_t f = ranges[i].from > from ? ranges[i].from : from, t = ranges[i].to < to ? ranges[i].to : to;
                    if (f < t) kib += present(pagemap, f, t);
                }
        }
    }
    if (maps) fclose(maps);
    if (pagemap) fclose(pagemap);
    return kib;
}

static uint64_t weight(const struct block *b) { return b->words ? b->runs * b->insns : 0; }
static int heavier(const void *a, const void *b) {
    uint64_t x = weight(*(struct block *const *)a), y = weight(*(struct block *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

static void report_hot(FILE *file) {
    size_t n = 0, i = 0;
    for (struct block *b = blocks; b; b = b->next) n++;
    struct block **all = malloc(n * sizeof *all);
    for (struct block *b = blocks; b; b = b->next) all[i++] = b;
    qsort(all, n, sizeof *all, heavier);
    for (i = 0; i < n && i < (size_t)hot && weight(all[i]); i++) {
        fprintf(file, "block at=%llx runs=%llu words=", (unsigned long long)all[i]->at, (unsigned long long)all[i]->runs);
        for (int k = 0; k < all[i]->insns; k++) fprintf(file, "%08x", all[i]->words[k]);
        fputc('\n', file);
    }
    free(all);
}

static void report(int last) {
    uint64_t insns = 0, loads = 0, stores = 0, barriers = 0, acqrel = 0, atomics = 0, emitted = 0;
    for (struct block *b = blocks; b; b = b->next) {
        insns += b->runs * b->insns, loads += b->runs * b->loads, stores += b->runs * b->stores, barriers += b->runs * b->barriers;
        acqrel += b->runs * b->acqrel, atomics += b->runs * b->atomics, emitted += b->runs * b->emitted;
    }
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    FILE *file = fopen(out, "a");
    if (!file) return;
    fprintf(file, "count insns=%llu loads=%llu stores=%llu barriers=%llu acqrel=%llu atomics=%llu emitted=%llu syscalls=%llu faults=%ld resident=%llu\n",
            (unsigned long long)insns, (unsigned long long)loads, (unsigned long long)stores, (unsigned long long)barriers, (unsigned long long)acqrel,
            (unsigned long long)atomics, (unsigned long long)emitted, (unsigned long long)syscalls, last ? usage.ru_minflt : 0,
            (unsigned long long)(last && self == first ? resident() : 0));
    if (last && hot) report_hot(file);
    fclose(file);
}

static void forget(void) {
    for (struct block *b = blocks; b; b = b->next) b->runs = 0;
    syscalls = 0;
}

static void before_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                           uint64_t g, uint64_t h) {
    __atomic_fetch_add(&syscalls, 1, __ATOMIC_RELAXED);
    /* Another thread may map at the same time; the few bytes that its order matters for are not worth a lock. */
    if (number == NR_MUNMAP) remove_range(a, a + b);
    if (number == NR_EXECVE || number == NR_EXECVEAT) {
        /* What follows an execve that fails is counted from here. */
        report(0);
        forget();
    }
}

/* The length of the calls under way, by virtual processor. */
static uint64_t length_of[64];

static void lengths(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                    uint64_t h) {
    before_syscall(id, vcpu, number, a, b, c, d, e, f, g, h);
    if (number == NR_MMAP) length_of[vcpu % 64] = b;
    if (number == NR_MREMAP) length_of[vcpu % 64] = c, remove_range(a, a + b);
}

static void after_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result) {
    static uint64_t break_from;
    if ((number == NR_CLONE || number == NR_CLONE3) && result == 0 && getpid() != self) {
        self = getpid();
        forget();
    }
    if ((number == NR_MMAP || number == NR_MREMAP) && (uint64_t)result < -4096ull) {
        uint64_t from = result;
        add_range(from, (from + length_of[vcpu % 64] + 4095) & -4096ull);
    }
    if (number == NR_BRK && !break_from) break_from = result;
    if (number == NR_BRK && (uint64_t)result > break_from) add_range(break_from & -4096ull, (result + 4095) & -4096ull);
}

static void at_exit(qemu_plugin_id_t id, void *unused) { report(1); }

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4) && strlen(argv[i] + 4) < sizeof out) strcpy(out, argv[i] + 4);
        if (!strncmp(argv[i], "exact=", 6)) exact = atoi(argv[i] + 6);
        if (!strncmp(argv[i], "hot=", 4)) hot = atoi(argv[i] + 4);
    }
    if (!out[0]) return 1;
    self = first = getpid();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, lengths);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, after_syscall);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
