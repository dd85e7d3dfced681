/* Floating point: bits that IEEE 754 fixes, and registers that must survive other threads. */
#include "stress.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HARMONIC 0x4024f62202468754UL
#define ALTERNATING 0x400921e11d614243UL
#define PRODUCT 0x7fa4ab7864418635UL
#define ROOT 0x4008dbb30fcb5631UL

static uint64_t bits(double value)
{
    uint64_t result;
    memcpy(&result, &value, 8);
    return result;
}

void check_floating_point(uint64_t seed)
{
    /* Sums in a fixed order have fixed bits; these are from another implementation of IEEE 754. */
    volatile double harmonic = 0, alternating = 0, product = 1, root = 2;
    for (int i = 1; i <= 20000; i++) {
        harmonic += 1.0 / i;
        alternating += (i & 1 ? 4.0 : -4.0) / (2 * i - 1);
    }
    for (int i = 1; i <= 170; i++)
        product *= i;
    for (int i = 0; i < 40; i++) {
        double next = root * 3 + 1.0 / 3;
        __asm__("sqrtsd %0, %0" : "+x"(next));
        root = next;
    }
    EXPECT(bits(harmonic) == HARMONIC, "harmonic sum %016lx", bits(harmonic));
    EXPECT(bits(alternating) == ALTERNATING, "alternating sum %016lx", bits(alternating));
    EXPECT(bits(product) == PRODUCT, "factorial %016lx", bits(product));
    EXPECT(bits(root) == ROOT, "roots %016lx", bits(root));

    volatile double smallest = 2.2250738585072014e-308;
    EXPECT(bits(smallest / 4) == 0x0004000000000000, "a denormal");
    volatile double zero = 0, one = 1;
    EXPECT(one / zero > 1e308 && bits(-one / zero) == 0xfff0000000000000, "infinities");
    volatile double nan = zero / zero;
    EXPECT(nan != nan && !(nan < one) && !(nan > one), "not a number");

    /* x87: 64-bit mantissas hold 64-bit integers exactly; and its rounding modes. */
    for (int i = 0; i < 2000; i++) {
        int64_t a = next_random(&seed) >> 2, b = next_random(&seed) >> 2, sum;
        __asm__("fildq %1\n fildq %2\n faddp\n fistpq %0" : "=m"(sum) : "m"(a), "m"(b));
        EXPECT(sum == a + b, "x87: %ld + %ld is %ld", a, b, sum);
    }
    static const int rounded[4] = { 2, 2, 3, 2 }; /* of 2.5: nearest even, down, up, towards zero */
    for (int mode = 0; mode < 4; mode++) {
        unsigned short usual, control;
        unsigned mxcsr_usual, mxcsr;
        int x87, sse;
        double value = 2.5;
        __asm__ volatile("fnstcw %0\n stmxcsr %1" : "=m"(usual), "=m"(mxcsr_usual));
        control = (usual & ~0xc00) | mode << 10;
        mxcsr = (mxcsr_usual & ~0x6000) | mode << 13;
        __asm__ volatile("fldcw %2\n fldl %4\n fistpl %0\n ldmxcsr %3\n cvtsd2si %4, %1"
            : "=m"(x87), "=&r"(sse) : "m"(control), "m"(mxcsr), "m"(value));
        __asm__ volatile("fldcw %0\n ldmxcsr %1" : : "m"(usual), "m"(mxcsr_usual));
        EXPECT(x87 == rounded[mode] && sse == rounded[mode], "rounding mode %d: x87 %d, SSE %d", mode, x87, sse);
    }
}

struct state {
    unsigned char vector[16][32];
    long double x87[6];
    unsigned mxcsr;
    unsigned short control;
};

/* Loads every register, gives the processor away `times` times (or spins), and stores every register. */
#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_X(n) "movdqu " #n "*32(%[in]), %%xmm" #n "\n"
#define STORE_X(n) "movdqu %%xmm" #n ", " #n "*32(%[out])\n"
#define LOAD_Y(n) "vmovdqu " #n "*32(%[in]), %%ymm" #n "\n"
#define STORE_Y(n) "vmovdqu %%ymm" #n ", " #n "*32(%[out])\n"
#define WAIT \
    "1: test $1, %[spin]\n jnz 2f\n" \
    "mov $24, %%eax\n syscall\n jmp 3f\n" /* sched_yield */ \
    "2: mov $2000, %%eax\n 4: dec %%eax\n jnz 4b\n" \
    "3: dec %[times]\n jnz 1b\n"
#define KEPT "rax", "rcx", "r11", "memory", "cc", \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
    "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static void keep_sse(const struct state *in, struct state *out, long times, long spin)
{
    __asm__ volatile(EACH(LOAD_X) WAIT EACH(STORE_X) : [times] "+r"(times) : [in] "r"(in), [out] "r"(out), [spin] "r"(spin) : KEPT);
}

__attribute__((target("avx"))) static void keep_avx(const struct state *in, struct state *out, long times, long spin)
{
    __asm__ volatile(EACH(LOAD_Y) WAIT EACH(STORE_Y) "vzeroupper\n"
        : [times] "+r"(times) : [in] "r"(in), [out] "r"(out), [spin] "r"(spin) : KEPT);
}

static void keep_x87(const struct state *in, struct state *out, long times, long spin)
{
    unsigned short usual;
    unsigned mxcsr_usual;
    __asm__ volatile("fnstcw %0\n stmxcsr %1" : "=m"(usual), "=m"(mxcsr_usual));
    __asm__ volatile(
        "fldcw %[control]\n ldmxcsr %[mxcsr]\n"
        "fldt (%[x])\n fldt 16(%[x])\n fldt 32(%[x])\n fldt 48(%[x])\n fldt 64(%[x])\n fldt 80(%[x])\n"
        WAIT
        "fstpt 80(%[y])\n fstpt 64(%[y])\n fstpt 48(%[y])\n fstpt 32(%[y])\n fstpt 16(%[y])\n fstpt (%[y])\n"
        "fnstcw %[control_out]\n stmxcsr %[mxcsr_out]\n"
        : [times] "+r"(times), [control_out] "=m"(out->control), [mxcsr_out] "=m"(out->mxcsr)
        : [x] "r"(in->x87), [y] "r"(out->x87), [spin] "r"(spin), [control] "m"(in->control), [mxcsr] "m"(in->mxcsr)
        : "rax", "rcx", "r11", "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)");
    __asm__ volatile("fldcw %0\n ldmxcsr %1" : : "m"(usual), "m"(mxcsr_usual));
}

static void *switch_thread(void *argument)
{
    uint64_t seed = (uint64_t)argument;
    int avx = __builtin_cpu_supports("avx");
    for (int i = 0; i < 40; i++) {
        struct state in, out;
        memset(&in, 0, sizeof in);
        memset(&out, 0, sizeof out);
        for (size_t at = 0; at < sizeof in.vector; at += 8) {
            uint64_t value = next_random(&seed);
            memcpy((char *)in.vector + at, &value, 8);
        }
        for (int n = 0; n < 6; n++)
            in.x87[n] = (long double)next_random(&seed) / (n + 1);
        in.mxcsr = 0x1f80 | (next_random(&seed) & 3) << 13;
        in.control = 0x37f | (next_random(&seed) & 3) << 10;
        long spin = i & 1;
        if (avx) {
            keep_avx(&in, &out, 10, spin);
            EXPECT(!memcmp(in.vector, out.vector, sizeof in.vector), "YMM registers changed under a thread");
        }
        memset(&out.vector, 0, sizeof out.vector);
        keep_sse(&in, &out, 10, spin);
        for (int n = 0; n < 16; n++)
            EXPECT(!memcmp(in.vector[n], out.vector[n], 16), "xmm%d changed under a thread", n);
        keep_x87(&in, &out, 10, spin);
        for (int n = 0; n < 6; n++)
            EXPECT(!memcmp(&in.x87[n], &out.x87[n], 10), "x87 register %d changed under a thread", n);
        EXPECT((in.mxcsr & ~0x3f) == (out.mxcsr & ~0x3f), "mxcsr is %x, was %x", out.mxcsr, in.mxcsr);
        EXPECT(in.control == out.control, "x87 control word is %x, was %x", out.control, in.control);
    }
    return NULL;
}

void check_fp_switches(uint64_t seed)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        EXPECT(!pthread_create(&threads[i], NULL, switch_thread, (void *)(next_random(&seed) | 1)), "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}
