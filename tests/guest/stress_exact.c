/* Exceptions at exact places: every register, the flags and the vectors are as they were before the instruction, or after the trap. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FLAGS = 0xcd5 }; /* CF PF AF ZF SF DF OF */

/* What an instruction needs in registers; the others are random. */
enum { FREE, ZERO, ONES, SMALLEST, BAD_ADDRESS, ODD, GONE, READ_ONLY, NO_ACCESS, END_OF_FILE, BEFORE_GONE };

/* What si_addr is to be. */
enum { NOTHING, AT_RIP, AT_RDI, AT_GONE };

struct probe {
    const char *name, *bytes;
    int length, rdi, rcx, rax, rdx, signal, code, address;
    unsigned trap, error, after; /* after: bytes that RIP is behind the start, for traps */
    const char *before;          /* code that runs first; %rax points to `control` */
    int before_length;
};

#define CODE(text) text, sizeof(text) - 1

static struct {
    unsigned mxcsr, fcw;
    double one, zero, huge, tiny;
    float denormal;
} control __attribute__((aligned(16)));

static const struct probe probes[] = {
    { "div by 0", CODE("\xf7\xf1"), FREE, ZERO, FREE, FREE, SIGFPE, FPE_INTDIV, AT_RIP, 0, 0, 0, NULL, 0 },
    { "div too large", CODE("\x48\xf7\xf1"), FREE, FREE, FREE, ONES, SIGFPE, FPE_INTDIV, AT_RIP, 0, 0, 0, NULL, 0 },
    { "div of bytes", CODE("\xf6\xf1"), FREE, ZERO, FREE, FREE, SIGFPE, FPE_INTDIV, AT_RIP, 0, 0, 0, NULL, 0 },
    { "idiv overflow", CODE("\x48\xf7\xf9"), FREE, ONES, SMALLEST, ONES, SIGFPE, FPE_INTDIV, AT_RIP, 0, 0, 0, NULL, 0 },
    { "idiv by 0", CODE("\x66\xf7\xf9"), FREE, ZERO, FREE, FREE, SIGFPE, FPE_INTDIV, AT_RIP, 0, 0, 0, NULL, 0 },
    { "int3", CODE("\xcc"), FREE, FREE, FREE, FREE, SIGTRAP, SI_KERNEL, NOTHING, 3, 0, 1, NULL, 0 },
    { "int $3", CODE("\xcd\x03"), FREE, FREE, FREE, FREE, SIGTRAP, SI_KERNEL, NOTHING, 3, 0, 2, NULL, 0 },
    { "int $4", CODE("\xcd\x04"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 4, 0, 2, NULL, 0 },
    { "int $5", CODE("\xcd\x05"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0x2a, 0, NULL, 0 },
    { "ud2", CODE("\x0f\x0b"), FREE, FREE, FREE, FREE, SIGILL, ILL_ILLOPN, AT_RIP, 6, 0, 0, NULL, 0 },
    { "push %es", CODE("\x06"), FREE, FREE, FREE, FREE, SIGILL, ILL_ILLOPN, AT_RIP, 6, 0, 0, NULL, 0 },
    { "lock mov", CODE("\xf0\x89\x07"), FREE, FREE, FREE, FREE, SIGILL, ILL_ILLOPN, AT_RIP, 6, 0, 0, NULL, 0 },
    { "0f ff", CODE("\x0f\xff\xc0"), FREE, FREE, FREE, FREE, SIGILL, ILL_ILLOPN, AT_RIP, 6, 0, 0, NULL, 0 },
    { "hlt", CODE("\xf4"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "in", CODE("\xec"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "mov to cr3", CODE("\x0f\x22\xd8"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "mov to dr7", CODE("\x0f\x23\xf8"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "rdmsr", CODE("\x0f\x32"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "15 prefixes", CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), FREE, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "no address", CODE("\x8b\x07"), BAD_ADDRESS, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "no stack address", CODE("\x8b\x04\x3c"), BAD_ADDRESS, FREE, FREE, FREE, SIGBUS, SI_KERNEL, NOTHING, 12, 0, 0, NULL, 0 },
    { "movaps", CODE("\x0f\x28\x07"), ODD, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "cmpxchg16b", CODE("\xf0\x48\x0f\xc7\x0f"), ODD, FREE, FREE, FREE, SIGSEGV, SI_KERNEL, NOTHING, 13, 0, 0, NULL, 0 },
    { "load", CODE("\x48\x8b\x07"), GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "store", CODE("\x66\x89\x07"), GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_RDI, 14, 6, 0, NULL, 0 },
    { "add to memory", CODE("\x48\x01\x07"), READ_ONLY, FREE, FREE, FREE, SIGSEGV, SEGV_ACCERR, AT_RDI, 14, 7, 0, NULL, 0 },
    { "lock xadd", CODE("\xf0\x0f\xc1\x07"), READ_ONLY, FREE, FREE, FREE, SIGSEGV, SEGV_ACCERR, AT_RDI, 14, 7, 0, NULL, 0 },
    { "cmpxchg", CODE("\x0f\xb1\x0f"), READ_ONLY, FREE, FREE, FREE, SIGSEGV, SEGV_ACCERR, AT_RDI, 14, 7, 0, NULL, 0 },
    { "vector load", CODE("\xf3\x0f\x6f\x07"), NO_ACCESS, FREE, FREE, FREE, SIGSEGV, SEGV_ACCERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "addps", CODE("\x66\x0f\xfe\x07"), GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "fistp", CODE("\xdf\x3f"), GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_RDI, 14, 6, 0, NULL, 0 },
    { "across a page", CODE("\x48\x89\x07"), BEFORE_GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_GONE, 14, 6, 0, NULL, 0 },
    { "call through memory", CODE("\xff\x17"), GONE, FREE, FREE, FREE, SIGSEGV, SEGV_MAPERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "jump through memory", CODE("\xff\x27"), NO_ACCESS, FREE, FREE, FREE, SIGSEGV, SEGV_ACCERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "behind a file", CODE("\x8a\x07"), END_OF_FILE, FREE, FREE, FREE, SIGBUS, BUS_ADRERR, AT_RDI, 14, 4, 0, NULL, 0 },
    { "store behind a file", CODE("\x88\x07"), END_OF_FILE, FREE, FREE, FREE, SIGBUS, BUS_ADRERR, AT_RDI, 14, 6, 0, NULL, 0 },
#define X87(name, load, operation, code_) \
    { name, CODE("\x9b"), FREE, FREE, FREE, FREE, SIGFPE, code_, AT_RIP, 16, 0, 0, CODE("\xdb\xe3\xd9\x68\x04" load operation) }
    X87("x87 zero", "\xdd\x40\x08", "\xdc\x70\x10", FPE_FLTDIV),
    X87("x87 invalid", "\xdd\x40\x10", "\xdc\x70\x10", FPE_FLTINV),
    X87("x87 denormal", "\xd9\x40\x28", "", FPE_FLTUND),
    { "x87 instruction", CODE("\xd9\xe8"), FREE, FREE, FREE, FREE, SIGFPE, FPE_FLTDIV, AT_RIP, 16, 0, 0,
        CODE("\xdb\xe3\xd9\x68\x04\xdd\x40\x08\xdc\x70\x10") },
#define SSE(name, load, operation, code_) \
    { name, CODE(operation), FREE, FREE, FREE, FREE, SIGFPE, code_, AT_RIP, 19, 0, 0, CODE("\x0f\xae\x10" load) }
    SSE("sse zero", "\xf2\x0f\x10\x40\x08\xf2\x0f\x10\x48\x10", "\xf2\x0f\x5e\xc1", FPE_FLTDIV),
    SSE("sse invalid", "\xf2\x0f\x10\x40\x10\xf2\x0f\x10\x48\x10", "\xf2\x0f\x5e\xc1", FPE_FLTINV),
    SSE("sse overflow", "\xf2\x0f\x10\x40\x18\xf2\x0f\x10\x48\x18", "\xf2\x0f\x59\xc1", FPE_FLTOVF),
    SSE("sse underflow", "\xf2\x0f\x10\x40\x20\xf2\x0f\x10\x48\x20", "\xf2\x0f\x59\xc1", FPE_FLTUND),
    SSE("sse conversion", "\xf2\x0f\x10\x40\x18\xf2\x0f\x10\x48\x18", "\xf2\x0f\x2c\xd0", FPE_FLTINV),
    SSE("sse comparison", "\xf2\x0f\x10\x40\x10\x0f\x57\xc0\x66\x0f\x76\xc0\xf2\x0f\x10\x48\x08", "\x66\x0f\x2f\xc1", FPE_FLTINV),
};

static unsigned char *area, *file_end;

static uint64_t value_of(int need, uint64_t random)
{
    switch (need) {
    case ZERO: return 0;
    case ONES: return ~0UL;
    case SMALLEST: return 1UL << 63;
    case BAD_ADDRESS: return 0x4000000000000000UL | random >> 8;
    case ODD: return (uint64_t)area | 8;
    case GONE: return (uint64_t)area + PAGE + random % (PAGE - 16) / 16 * 16;
    case READ_ONLY: return (uint64_t)area + 2 * PAGE + random % (PAGE - 16);
    case NO_ACCESS: return (uint64_t)area + 3 * PAGE + random % (PAGE - 16);
    case END_OF_FILE: return (uint64_t)file_end + random % PAGE;
    case BEFORE_GONE: return (uint64_t)area + PAGE - 1 - random % 7;
    default: return random;
    }
}

/* Register numbers of the encoding, and where a signal's context has them. */
static const int context_of[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void probe_once(const struct probe *probe, unsigned char *code, uint64_t *seed)
{
    static uint64_t saved_rsp;
    static unsigned char vectors[16][16];
    uint64_t want[16];
    for (int i = 0; i < 16; i++)
        want[i] = next_random(seed);
    want[0] = value_of(probe->rax, want[0]);
    want[1] = value_of(probe->rcx, want[1]);
    want[2] = value_of(probe->rdx, want[2]);
    want[7] = value_of(probe->rdi, want[7]);
    uint64_t flags = next_random(seed) & FLAGS;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            vectors[i][j] = next_random(seed);

    unsigned char *at = code;
    PUT(at, 0x48, 0xb8);
    at = put64(at, (uint64_t)&saved_rsp);
    PUT(at, 0x48, 0x89, 0x20, 0x48, 0xb8); /* mov %rsp, (%rax); mov $vectors, %rax */
    at = put64(at, (uint64_t)vectors);
    for (int i = 0; i < 16; i++) {
        at = put8(at, 0xf3); /* movdqu disp32(%rax), %xmm */
        if (i >= 8)
            at = put8(at, 0x44);
        PUT(at, 0x0f, 0x6f);
        at = put8(at, 0x80 | (i & 7) << 3);
        at = put32(at, i * 16);
    }
    PUT(at, 0x48, 0xb8);
    at = put64(at, (uint64_t)&control);
    at = put(at, probe->before, probe->before_length);
    at = put8(at, 0x68); /* push $flags; popf */
    at = put32(at, flags);
    at = put8(at, 0x9d);
    for (int i = 0; i < 16; i++) {
        if (i == 4)
            continue;
        at = put8(at, i < 8 ? 0x48 : 0x49);
        at = put8(at, 0xb8 | (i & 7));
        at = put64(at, want[i]);
    }
    unsigned char *start = at;
    at = put(at, probe->bytes, probe->length);
    PUT(at, 0x0f, 0x0b);

    CATCH(((void (*)(void))code)());
    __asm__ volatile("fninit");
    want[4] = saved_rsp;
    const char *what = probe->name;
    uint64_t rip = (uint64_t)start + probe->after, fault = probe->after ? 0 : RESUME_FLAG;
    EXPECT(caught.count == 1 && caught.signal == probe->signal && caught.code == probe->code, "%s: signal %d code %d at %lx (start %p), not %d and %d", what,
        caught.signal, caught.code, CAUGHT(RIP), (void *)start, probe->signal, probe->code);
    EXPECT(CAUGHT(RIP) == rip, "%s: rip %lx, not %lx", what, CAUGHT(RIP), rip);
    uint64_t address = probe->address == AT_RIP ? rip : probe->address == AT_RDI ? want[7] : probe->address == AT_GONE ? (uint64_t)area + PAGE : 0;
    EXPECT(caught.address == address, "%s: address %lx, not %lx", what, caught.address, address);
    EXPECT(CAUGHT(TRAPNO) == probe->trap && CAUGHT(ERR) == probe->error, "%s: trap %lu error %lx", what, CAUGHT(TRAPNO), CAUGHT(ERR));
    EXPECT(CAUGHT(EFL) == (flags | 0x202 | fault), "%s: flags %lx, not %lx", what, CAUGHT(EFL), flags | 0x202 | fault);
    for (int i = 0; i < 16; i++)
        EXPECT(caught.registers[context_of[i]] == want[i], "%s: register %d is %lx, not %lx", what, i, caught.registers[context_of[i]], want[i]);
    if (!probe->before)
        EXPECT(!memcmp((void *)caught.xmm, vectors, sizeof vectors), "%s: the vectors changed", what);
    if (probe->trap == 19)
        EXPECT((caught.mxcsr & ~0x3fU) == (control.mxcsr & ~0x3fU) && (caught.mxcsr & 0x3d), "%s: mxcsr %x", what, caught.mxcsr);
    if (probe->trap == 16)
        EXPECT(caught.status & 0x80, "%s: x87 status %x", what, caught.status);
}

void check_exact(uint64_t seed)
{
    control.mxcsr = 0x1f80 & ~(0x80 | 0x200 | 0x400 | 0x800); /* invalid, zero, overflow, underflow unmasked */
    control.fcw = 0x37f & ~(1 | 2 | 4);                       /* invalid, denormal, zero unmasked */
    control.one = 1;
    control.zero = 0;
    control.huge = 1e300;
    control.tiny = 1e-300;
    control.denormal = 1e-40f;
    area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = memfd_create("short", 0);
    EXPECT(area != MAP_FAILED && file >= 0 && ftruncate(file, 100) == 0, "mmap or memfd: %s", strerror(errno));
    memset(area, 1, 4 * PAGE);
    munmap(area + PAGE, PAGE);
    mprotect(area + 2 * PAGE, PAGE, PROT_READ);
    mprotect(area + 3 * PAGE, PAGE, PROT_NONE);
    unsigned char *mapped = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT(mapped != MAP_FAILED, "mmap of a file");
    file_end = mapped + PAGE;

    unsigned char *code = code_pages(2);
    catch_begin();
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        /* Also with the instruction across the boundary of the two pages: the code before it is some 300 bytes. */
        probe_once(&probes[i], code + next_random(&seed) % 3000, &seed);
        for (int j = 0; j < 3; j++)
            probe_once(&probes[i], code + PAGE - 280 - next_random(&seed) % 60, &seed);
    }
    catch_end();
    munmap(code, 2 * PAGE);
    munmap(mapped, 2 * PAGE);
    munmap(area, PAGE);
    munmap(area + 2 * PAGE, 2 * PAGE);
    close(file);
}
