/* Control state that belongs to a thread: rounding, flushing, unmasked exceptions, alignment checks. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { THREADS = 6, TURNS = 250, DAZ = 0x40, FTZ = 0x8000 };

static double quotient(double a, double b)
{
    __asm__ volatile("divsd %1, %0" : "+x"(a) : "x"(b));
    return a;
}

static float product(float a, float b)
{
    __asm__ volatile("mulss %1, %0" : "+x"(a) : "x"(b));
    return a;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* 1/3 and -1/3, by rounding to nearest, down, up, to zero. */
static const uint64_t third[4] = { 0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555556, 0x3fd5555555555555 };
static const uint64_t minus_third[4] = { 0xbfd5555555555555, 0xbfd5555555555556, 0xbfd5555555555555, 0xbfd5555555555555 };

static void *control_thread(void *argument)
{
    uint64_t seed = (uint64_t)argument | 1;
    catch_begin_thread();
    for (int i = 0; i < TURNS; i++) {
        int rounding = next_random(&seed) & 3, precision = next_random(&seed) & 1;
        unsigned modes = (next_random(&seed) & 1 ? DAZ : 0) | (next_random(&seed) & 1 ? FTZ : 0), after;
        unsigned mxcsr = 0x1f80 | rounding << 13 | modes;
        unsigned short fcw = 0x37f | rounding << 10, fcw_after;
        if (precision)
            fcw &= ~0x100; /* 53 bits */
        __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(mxcsr), "m"(fcw));
        for (int j = 0; j < 4; j++) {
            EXPECT(bits_of(quotient(1, 3)) == third[rounding] && bits_of(quotient(-1, 3)) == minus_third[rounding], "rounding %d: 1/3 is %lx", rounding,
                bits_of(quotient(1, 3)));
            /* A small normal number times a half is denormal; a denormal times 2 is normal, or 0 when denormals are zeros. */
            float small = product(1.5e-38f, 0.5f);
            EXPECT((bits_of_float(small) == 0) == !!(modes & FTZ), "FTZ %d: %x", !!(modes & FTZ), bits_of_float(small));
            volatile uint32_t denormal_bits = 0x00400000;
            float denormal, doubled;
            memcpy(&denormal, (void *)&denormal_bits, 4);
            doubled = product(denormal, 4.0f);
            EXPECT(bits_of_float(doubled) == (modes & DAZ ? 0 : 0x01000000), "DAZ %d: %x", !!(modes & DAZ), bits_of_float(doubled));
            double x87;
            __asm__ volatile("fld1\n fidivs %1\n fstpl %0" : "=m"(x87) : "m"((short){ 3 }));
            EXPECT(bits_of(x87) == third[rounding], "x87 rounding %d: %lx", rounding, bits_of(x87));
            if (j == 1)
                sched_yield();
            if (j == 2)
                syscall(SYS_getppid);
            __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(after), "=m"(fcw_after));
            EXPECT((after & ~0x3fU) == mxcsr && fcw_after == fcw, "MXCSR %x, not %x; FCW %x, not %x", after, mxcsr, fcw_after, fcw);
        }
        if (i % 8 == 0) {
            /* This thread alone has the exception unmasked. */
            unsigned open = 0x1f80 & ~0x200;
            CATCH({
                __asm__ volatile("ldmxcsr %0" : : "m"(open));
                if (i & 8)
                    sched_yield();
                quotient(1, 0);
            });
            EXPECT(caught.count == 1 && caught.signal == SIGFPE && caught.code == FPE_FLTDIV, "an unmasked division by 0: %d signals", caught.count);
            EXPECT((caught.mxcsr & ~0x3fU) == open, "MXCSR in the signal: %x", caught.mxcsr);
        }
        mxcsr = 0x1f80;
        __asm__ volatile("ldmxcsr %0\n fninit" : : "m"(mxcsr));
        EXPECT(bits_of_float(quotient(1, 0)) != 0, "a masked division by 0");
    }
    catch_end_thread();
    return NULL;
}

static void on_timer(int signal)
{
    /* Changes what the interrupted code must not see. */
    unsigned other = 0x7f80 | FTZ | DAZ;
    __asm__ volatile("ldmxcsr %0\n fninit" : : "m"(other));
    (void)signal;
}

void check_control(uint64_t seed)
{
    pthread_t threads[THREADS];
    catch_begin();
    struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < THREADS; i++)
        EXPECT(!pthread_create(&threads[i], NULL, control_thread, (void *)next_random(&seed)), "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    catch_end();
}

/* Sets EFLAGS.AC, runs one instruction with %rdi, clears AC. The red zone is not used: the file has no leaf function that would. */
#define WITH_AC(instruction) \
    __asm__ volatile("lea -256(%%rsp), %%rsp\n pushfq\n orl $0x40000, (%%rsp)\n popfq\n 1: " instruction "\n pushfq\n andl $~0x40000, (%%rsp)\n popfq\n" \
        " lea 256(%%rsp), %%rsp" : "+D"(at), "+S"(other) : "a"(1), "c"(1), "d"(0), "b"(0) : "memory", "cc", "xmm0", "r8", "r9")

#define ALIGNMENT(name, alignment, instruction) \
    static void aligned_##name(unsigned char *at) \
    { \
        unsigned char *other = at + 512; \
        WITH_AC(instruction); \
    }

/* Those whose alignment the SDM gives (3A table 6-7). */
#define ALL_ALIGNMENTS(A) \
    A(load2, 2, "movw (%%rdi), %%r8w") A(load4, 4, "movl (%%rdi), %%r8d") A(load8, 8, "movq (%%rdi), %%r8") A(store2, 2, "movw %%ax, (%%rdi)") \
    A(store4, 4, "movl %%eax, (%%rdi)") A(store8, 8, "movq %%rax, (%%rdi)") A(extend, 2, "movzwl (%%rdi), %%r8d") A(update, 4, "addl $1, (%%rdi)") \
    A(locked, 8, "lock incq (%%rdi)") A(exchange, 4, "xchg %%eax, (%%rdi)") A(compare8, 8, "cmpxchg8b (%%rdi)") A(string, 4, "movsl") \
    A(repeated, 8, "rep stosq") A(single, 4, "flds (%%rdi)\n fstp %%st(0)") A(twice, 8, "fldl (%%rdi)\n fstp %%st(0)") \
    A(extended, 8, "fldt (%%rdi)\n fstp %%st(0)") A(scalar, 8, "movq (%%rdi), %%xmm0") A(scalar4, 4, "movss (%%rdi), %%xmm0") \
    A(push, 8, "mov %%rsp, %%r9\n lea 8(%%rdi), %%rsp\n push %%rax\n mov %%r9, %%rsp") A(mxcsr, 4, "stmxcsr (%%rdi)") \
    A(far, 4, "lgs (%%rdi), %%r8d") A(bit, 4, "btl %%eax, (%%rdi)")
ALL_ALIGNMENTS(ALIGNMENT)

static const struct {
    const char *name;
    int alignment;
    void (*run)(unsigned char *);
} alignments[] = {
#define ENTRY(name, alignment, instruction) { #name, alignment, aligned_##name },
    ALL_ALIGNMENTS(ENTRY)
};

void check_alignment(uint64_t seed)
{
    unsigned char *area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED, "mmap: %s", strerror(errno));
    munmap(area + 2 * PAGE, PAGE);
    catch_begin();
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        const char *name = alignments[i].name;
        for (int off = 0; off < 8; off++) {
            /* In the middle of a page and, when misaligned, across two; the fault comes without a look at the pages. */
            for (int place = 0; place < 3; place++) {
                unsigned char *at = area + (place == 0 ? 1024 : place == 1 ? PAGE - 8 : 2 * PAGE + 64) + off;
                int faults = off % alignments[i].alignment != 0;
                if (place == 2 && !faults)
                    continue;
                memset(area, 0, 2 * PAGE);
                CATCH(alignments[i].run(at));
                if (!faults) {
                    EXPECT(caught.count == 0, "%s at +%d: signal %d, trap %lu", name, off, caught.signal, CAUGHT(TRAPNO));
                    continue;
                }
                EXPECT(caught.count == 1 && caught.signal == SIGBUS && caught.code == BUS_ADRALN, "%s at +%d: %d signals, %d code %d", name, off, caught.count,
                    caught.signal, caught.code);
                EXPECT(CAUGHT(TRAPNO) == 17 && CAUGHT(ERR) == 0 && caught.address == 0, "%s at +%d: trap %lu error %lx address %lx", name, off, CAUGHT(TRAPNO),
                    CAUGHT(ERR), caught.address);
                EXPECT((CAUGHT(EFL) & (ALIGNMENT_FLAG | RESUME_FLAG)) == (ALIGNMENT_FLAG | RESUME_FLAG), "%s at +%d: flags %lx", name, off, CAUGHT(EFL));
                EXPECT(CAUGHT(RDI) == (uint64_t)at, "%s at +%d: rdi %lx", name, off, CAUGHT(RDI));
            }
        }
    }

    /* AC is the thread's: system calls and other threads between leave it on, and the kernel's own misaligned accesses do not count. */
    for (int i = 0; i < 50; i++) {
        uint64_t flags;
        long result;
        struct timespec time __attribute__((unused));
        __asm__ volatile("lea -256(%%rsp), %%rsp\n pushfq\n orl $0x40000, (%%rsp)\n popfq\n syscall\n pushfq\n pop %1\n pushfq\n andl $~0x40000, (%%rsp)\n popfq\n"
            " lea 256(%%rsp), %%rsp" : "=a"(result), "=&r"(flags) : "a"(i & 1 ? SYS_sched_yield : SYS_clock_gettime), "D"(1), "S"(area + 1 + i % 8)
            : "memory", "cc", "rcx", "r11");
        EXPECT(result == 0 && (flags & ALIGNMENT_FLAG), "a system call with AC: %ld, flags %lx", result, flags);
    }
    volatile uint64_t fine;
    memcpy((void *)&fine, area + 3, 8);
    catch_end();
    munmap(area, 2 * PAGE);
    (void)seed;
}
