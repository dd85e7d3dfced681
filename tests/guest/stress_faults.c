/* Faults and traps whose address, code and registers are known exactly. */
#include "stress.h"
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * Each probe is one instruction at a known label; the handler moves on to the probe's end.
 * The instruction before it makes sure that a fault is not blamed on the start of a translated block.
 */
__asm__(
    ".text\n"
#define PROBE(name, instruction) \
    ".globl probe_" #name ", probe_" #name "_at, probe_" #name "_end\n" \
    "probe_" #name ": mov %rdi, %r8\n" \
    "probe_" #name "_at: " instruction "\n" \
    "probe_" #name "_end: mov %r8, %rax\n ret\n"
    PROBE(read, "movzbl (%rdi), %ecx")
    PROBE(read8, "mov (%rdi), %rcx")
    PROBE(write, "movb $1, (%rdi)")
    PROBE(update, "lock addl $1, (%rdi)")
    PROBE(string, "rep stosb")
    PROBE(sse, "movaps (%rdi), %xmm0")
    PROBE(undefined, "ud2")
    PROBE(breakpoint, "int3")
    PROBE(privileged, "hlt")
    PROBE(divide, "div %edi")
);
#define DECLARE(name) extern char probe_##name##_at[], probe_##name##_end[]; long probe_##name(void *, long, long, long)
DECLARE(read);
DECLARE(read8);
DECLARE(write);
DECLARE(update);
DECLARE(string);
DECLARE(sse);
DECLARE(undefined);
DECLARE(breakpoint);
DECLARE(privileged);
DECLARE(divide);

static volatile struct {
    int count, signal, code;
    uint64_t address, rip, error, trap, rcx, rdi;
    const char *resume;
} seen;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    seen.count++;
    seen.signal = signal;
    seen.code = info->si_code;
    seen.address = (uint64_t)info->si_addr;
    seen.rip = registers[REG_RIP];
    seen.error = registers[REG_ERR];
    seen.trap = registers[REG_TRAPNO];
    seen.rcx = registers[REG_RCX];
    seen.rdi = registers[REG_RDI];
    if (seen.resume) {
        registers[REG_RIP] = (greg_t)seen.resume;
    } else {
        /* A call into nowhere: return from it. */
        registers[REG_RIP] = *(greg_t *)registers[REG_RSP];
        registers[REG_RSP] += 8;
    }
}

/* With NULL, what goes wrong in a later check ends the program as usual. */
static void catch_faults(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_flags = SA_SIGINFO };
    if (handler) {
        action.sa_sigaction = handler;
    } else {
        action.sa_flags = 0;
        action.sa_handler = SIG_DFL;
    }
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
}

static void expect_fault(
    const char *what, const char *at, int signal, int code, uint64_t address, uint64_t trap, uint64_t error)
{
    EXPECT(seen.count == 1, "%s: %d signals instead of 1", what, seen.count);
    EXPECT(seen.signal == signal && seen.code == code, "%s: signal %d code %d, not %d and %d", what, seen.signal, seen.code, signal, code);
    EXPECT(seen.rip == (uint64_t)at, "%s: rip %lx, not %lx", what, seen.rip, (uint64_t)at);
    EXPECT(seen.address == address, "%s: address %lx, not %lx", what, seen.address, address);
    EXPECT(seen.trap == trap, "%s: trap %lu, not %lu", what, seen.trap, trap);
    EXPECT(seen.error == error, "%s: error code %lx, not %lx", what, seen.error, error);
}

#define FAULT(name, argument, ...) \
    do { \
        seen.count = 0; \
        seen.resume = probe_##name##_end; \
        long result = probe_##name((void *)(argument), 0, 0, 8); \
        EXPECT(result == (long)(argument), #name ": r8 was lost"); \
        expect_fault(#name, probe_##name##_at, __VA_ARGS__); \
    } while (0)

void check_faults(uint64_t seed)
{
    const long page = 4096;
    catch_faults(on_fault);
    char *area = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED, "mmap");
    memset(area, 0x90, 64 * page);
    char *gone = area + 16 * page, *none = area + 32 * page, *readable = area + 48 * page;
    munmap(gone, page);
    mprotect(none, page, PROT_NONE);
    mprotect(readable, page, PROT_READ);

    for (int i = 0; i < 50; i++) {
        uint64_t in_page = next_random(&seed) % (page - 8);
        FAULT(read, gone + in_page, SIGSEGV, SEGV_MAPERR, (uint64_t)gone + in_page, 14, 4);
        FAULT(write, gone + in_page, SIGSEGV, SEGV_MAPERR, (uint64_t)gone + in_page, 14, 6);
        FAULT(update, gone + in_page, SIGSEGV, SEGV_MAPERR, (uint64_t)gone + in_page, 14, 6);
        FAULT(read, none + in_page, SIGSEGV, SEGV_ACCERR, (uint64_t)none + in_page, 14, 4);
        FAULT(write, readable + in_page, SIGSEGV, SEGV_ACCERR, (uint64_t)readable + in_page, 14, 7);

        /* A read that begins 1 to 7 bytes before the missing page: the address is the page's first byte. */
        long before = 1 + next_random(&seed) % 7;
        FAULT(read8, gone - before, SIGSEGV, SEGV_MAPERR, (uint64_t)gone, 14, 4);

        /* A string store that runs into the page stops there with its registers in step. */
        long run = next_random(&seed) % 8;
        seen.count = 0;
        seen.resume = probe_string_end;
        probe_string(gone - run, 0, 0, 8);
        expect_fault("string", probe_string_at, SIGSEGV, SEGV_MAPERR, (uint64_t)gone, 14, 6);
        EXPECT(seen.rdi == (uint64_t)gone && seen.rcx == (uint64_t)(8 - run), "string: rdi %lx rcx %lu after %ld bytes", seen.rdi, seen.rcx, run);

        /* A call into memory that is not executable, and into none. */
        seen.count = 0;
        seen.resume = NULL;
        ((void (*)(void))(area + in_page))();
        expect_fault("call of data", area + in_page, SIGSEGV, SEGV_ACCERR, (uint64_t)area + in_page, 14, 0x15);
        seen.count = 0;
        ((void (*)(void))(gone + in_page))();
        expect_fault("call of nothing", gone + in_page, SIGSEGV, SEGV_MAPERR, (uint64_t)gone + in_page, 14, 0x14);
    }

    FAULT(read, 0x8000000000000000UL + (seed & 0xff00), SIGSEGV, SI_KERNEL, 0, 13, 0);
    FAULT(sse, area + 8, SIGSEGV, SI_KERNEL, 0, 13, 0);
    FAULT(privileged, 1, SIGSEGV, SI_KERNEL, 0, 13, 0);

    /* A page of the kernel's half: Linux hides from user space whether it is there. */
    seen.count = 0;
    seen.resume = probe_read_end;
    probe_read((void *)0xffff888000001000UL, 0, 0, 0);
    EXPECT(seen.count == 1 && seen.signal == SIGSEGV && seen.rip == (uint64_t)probe_read_at, "kernel page: signal %d at %lx", seen.signal, seen.rip);
    EXPECT(seen.address == 0xffff888000001000UL, "kernel page: address %lx", seen.address);

    /* What was mended works again. */
    mprotect(readable, page, PROT_READ | PROT_WRITE);
    seen.count = 0;
    probe_write(readable, 0, 0, 0);
    EXPECT(seen.count == 0 && *readable == 1, "a writable page still faults");
    munmap(area, 64 * page);
    catch_faults(NULL);
}

static volatile int steps;
static volatile uint64_t step_at[64];
extern char step_first[], step_last[];
long step_probe(long value);
__asm__(
    ".globl step_probe, step_first, step_last\n"
    "step_probe: pushfq\n"
    "  orq $0x100, (%rsp)\n"
    "  popfq\n"                       /* the trap comes after the next instruction */
    "step_first: lea 1(%rdi), %rax\n" /* 4 bytes */
    "  add %rax, %rax\n"              /* 3 bytes */
    "  nop\n"
    "  pushfq\n"
    "  andq $~0x100, (%rsp)\n"
    "  popfq\n"
    "step_last: ret\n");

static void on_step(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    EXPECT(info->si_code == TRAP_TRACE || info->si_code == TRAP_BRKPT, "step: code %d", info->si_code);
    if (steps < 64)
        step_at[steps] = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    steps++;
}

void check_traps(uint64_t seed)
{
    catch_faults(on_fault);
    for (int i = 0; i < 20; i++) {
        FAULT(undefined, seed, SIGILL, ILL_ILLOPN, (uint64_t)probe_undefined_at, 6, 0);

        /* int3 is a trap: rip is after it. */
        seen.count = 0;
        seen.resume = probe_breakpoint_end;
        probe_breakpoint((void *)seed, 0, 0, 0);
        EXPECT(seen.count == 1 && seen.signal == SIGTRAP && seen.code == SI_KERNEL, "int3: signal %d code %d", seen.signal, seen.code);
        EXPECT(seen.rip == (uint64_t)probe_breakpoint_at + 1 && seen.trap == 3, "int3: rip %lx trap %lu", seen.rip, seen.trap);
    }

    struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    sigaction(SIGTRAP, &action, NULL);
    for (int i = 0; i < 20; i++) {
        steps = 0;
        long value = next_random(&seed) >> 8;
        EXPECT(step_probe(value) == 2 * (value + 1), "step: wrong result");
        EXPECT(steps == 6, "step: %d traps instead of 6", steps);
        EXPECT(step_at[0] == (uint64_t)step_first + 4 && step_at[1] == (uint64_t)step_first + 7 && step_at[2] == (uint64_t)step_first + 8,
            "step: traps at %lx %lx %lx, first %lx", step_at[0], step_at[1], step_at[2], (uint64_t)step_first);
        EXPECT(step_at[5] == (uint64_t)step_last, "step: last trap at %lx, not %lx", step_at[5], (uint64_t)step_last);
    }
    catch_faults(NULL);
}

static sigjmp_buf after_fpe;
static volatile int fpe_code;

static void on_fpe(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    fpe_code = info->si_code;
    siglongjmp(after_fpe, 1);
}

void check_arithmetic_faults(uint64_t seed)
{
    catch_faults(on_fault);
    for (int i = 0; i < 20; i++)
        FAULT(divide, 0, SIGFPE, FPE_INTDIV, (uint64_t)probe_divide_at, 0, 0);

    struct sigaction action = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGFPE, &action, NULL);

    /* The largest negative number divided by -1 does not fit. */
    if (!sigsetjmp(after_fpe, 1)) {
        long high = -1, low = INT64_MIN, by = -1;
        __asm__ volatile("idivq %2" : "+a"(low), "+d"(high) : "r"(by));
        stress_fail("idiv of the smallest number by -1 gave %ld", low);
    }
    EXPECT(fpe_code == FPE_INTDIV, "idiv overflow: code %d", fpe_code);

    /* SSE with exceptions unmasked: the state comes back with the signal's end, so each is tried on its own. */
    static const struct { unsigned mask; double a, b; int code; } sse[] = {
        { 0x0200, 1.0, 0.0, FPE_FLTDIV },
        { 0x0400, 1e300, 1e-300, FPE_FLTOVF },
        { 0x0080, 0.0, 0.0, FPE_FLTINV },
        { 0x1000, 1.0, 3.0, FPE_FLTRES },
    };
    for (volatile size_t i = 0; i < sizeof sse / sizeof *sse; i++) {
        unsigned usual = 0x1f80, unmasked = 0x1f80 & ~sse[i].mask;
        fpe_code = 0;
        if (!sigsetjmp(after_fpe, 1)) {
            double a = sse[i].a, b = sse[i].b;
            __asm__ volatile("ldmxcsr %2\n divsd %1, %0\n" : "+x"(a) : "x"(b), "m"(unmasked));
            __asm__ volatile("ldmxcsr %0" : : "m"(usual));
            stress_fail("SSE division %zu with exceptions unmasked went through", i);
        }
        __asm__ volatile("ldmxcsr %0" : : "m"(usual));
        EXPECT(fpe_code == sse[i].code, "SSE exception %zu: code %d, not %d", i, fpe_code, sse[i].code);
    }

    /* x87 faults at the next waiting instruction. */
    unsigned short x87_usual = 0x37f, x87_unmasked = 0x37f & ~4;
    fpe_code = 0;
    if (!sigsetjmp(after_fpe, 1)) {
        __asm__ volatile("fldcw %0\n fld1\n fldz\n fdivrp %%st, %%st(1)\n fwait\n" : : "m"(x87_unmasked) : "st");
        stress_fail("x87 division by 0 with the exception unmasked went through");
    }
    __asm__ volatile("fninit\n fldcw %0" : : "m"(x87_usual));
    EXPECT(fpe_code == FPE_FLTDIV, "x87 exception: code %d", fpe_code);
    catch_faults(NULL);
    (void)seed;
}
