/*
 * The host CPU as an oracle: runs user-mode instructions with a complete register state and reports what became of it, faults included.
 *
 * usage: HostOracle FILE COUNT
 * FILE is COUNT slots of struct slot, shared with the parent. For each 32-bit number N on standard input slots 0 to N-1 are run, and N is answered
 * on standard output.
 *
 * The kernel does the switching: a signal's return loads every register from the frame, and the INT3 behind the code, or the fault before it,
 * enters the handler again with every register in the new frame. No assembly touches the state in between.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_BASE 0x10000000UL
#define DATA_BASE 0x20000000UL
#define PAGE 4096
#define DATA_PAGES 3
#define XSAVE_SIZE 832

struct slot {
    uint64_t gpr[16];           /* rax rcx rdx rbx rsp rbp rsi rdi r8-r15 */
    uint64_t rip;
    uint64_t rflags;
    uint64_t fs_base;
    uint64_t gs_base;
    uint64_t vector;
    uint64_t error;
    uint64_t cr2;
    uint32_t code_offset;
    uint32_t last_page;         /* 0 absent, 1 read only, 2 writable */
    uint8_t code[128];
    uint8_t pad0[192];
    uint8_t xsave[XSAVE_SIZE];
    uint8_t pad1[4096 - 1344];
    uint8_t memory[DATA_PAGES * PAGE];
};

_Static_assert(sizeof(struct slot) == 4 * PAGE, "slot layout");

static struct slot *slots;
static uint8_t *code_alias;
static volatile uint32_t slot_count;
static volatile uint32_t current;
static volatile int running;
static uint64_t host_fs, host_gs;
static greg_t host_gregs[NGREG];
static uint8_t host_fp[16384];
static uint32_t current_protection = 2;

static const int gpr_of[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15
};

static inline uint64_t rdfs(void) { uint64_t v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline uint64_t rdgs(void) { uint64_t v; __asm__ volatile("rdgsbase %0" : "=r"(v)); return v; }
static inline void wrfs(uint64_t v) { __asm__ volatile("wrfsbase %0" : : "r"(v)); }
static inline void wrgs(uint64_t v) { __asm__ volatile("wrgsbase %0" : : "r"(v)); }

static inline long call3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static void copy(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static uint32_t xsave_bytes(const uint8_t *fp)
{
    uint32_t extended;
    copy(&extended, fp + 468, 4);       /* sw_reserved.extended_size: with the trailing magic */
    return extended;
}

static void enter(ucontext_t *uc)
{
    struct slot *s = &slots[current];
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
    for (int i = 0; i < PAGE; i++) {
        code_alias[i] = 0xCC;
    }
    copy(code_alias + s->code_offset, s->code, sizeof s->code < PAGE - s->code_offset ? sizeof s->code : PAGE - s->code_offset);
    if (current_protection != 2) {
        call3(SYS_mprotect, DATA_BASE + (DATA_PAGES - 1) * PAGE, PAGE, PROT_READ | PROT_WRITE);
    }
    copy((void *)DATA_BASE, s->memory, sizeof s->memory);
    if (s->last_page != 2) {
        call3(SYS_mprotect, DATA_BASE + (DATA_PAGES - 1) * PAGE, PAGE, s->last_page == 1 ? PROT_READ : PROT_NONE);
    }
    current_protection = s->last_page;
    for (int i = 0; i < 16; i++) {
        uc->uc_mcontext.gregs[gpr_of[i]] = (greg_t)s->gpr[i];
    }
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)s->rip;
    uc->uc_mcontext.gregs[REG_EFL] = (greg_t)((s->rflags & 0x200CD5) | 0x202);
    /* Legacy registers but not the kernel's bytes at 464; then the header's feature bits; then the upper halves. Everything else is initial. */
    copy(fp, s->xsave, 416);
    uint64_t features = 7;
    uint64_t pkru;
    copy(&pkru, fp + 512, 8);
    features |= pkru & (1u << 9);
    copy(fp + 512, &features, 8);
    copy(fp + 576, s->xsave + 576, 256);
    /* ID and NT are not taken from the frame: they stay as the handler leaves them. */
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x204000, (%%rsp); popfq; lea 128(%%rsp), %%rsp" : : : "cc", "memory");
    wrfs(s->fs_base);
    wrgs(s->gs_base);
}

static void leave(ucontext_t *uc)
{
    struct slot *s = &slots[current];
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
    for (int i = 0; i < 16; i++) {
        s->gpr[i] = (uint64_t)uc->uc_mcontext.gregs[gpr_of[i]];
    }
    s->rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    s->rflags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
    s->vector = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    s->error = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
    s->cr2 = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];
    copy(s->xsave, fp, 416);
    copy(s->xsave + 512, fp + 512, 8);
    copy(s->xsave + 576, fp + 576, 256);
    if (current_protection == 0) {
        call3(SYS_mprotect, DATA_BASE + (DATA_PAGES - 1) * PAGE, PAGE, PROT_READ | PROT_WRITE);
        current_protection = 2;
    }
    copy(s->memory, (void *)DATA_BASE, sizeof s->memory);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)number;
    (void)info;
    if (!running) {
        if (uc->uc_mcontext.gregs[REG_TRAPNO] != 3) {
            _exit(70);
        }
        host_fs = rdfs();
        host_gs = rdgs();
        copy(host_gregs, uc->uc_mcontext.gregs, sizeof host_gregs);
        copy(host_fp, uc->uc_mcontext.fpregs, xsave_bytes((uint8_t *)uc->uc_mcontext.fpregs));
        running = 1;
        current = 0;
    } else {
        uint64_t fs = rdfs(), gs = rdgs();
        wrfs(host_fs);
        wrgs(host_gs);
        slots[current].fs_base = fs;
        slots[current].gs_base = gs;
        leave(uc);
        current++;
    }
    if (current < slot_count) {
        enter(uc);
        return;
    }
    running = 0;
    copy(uc->uc_mcontext.gregs, host_gregs, sizeof host_gregs);
    copy(uc->uc_mcontext.fpregs, host_fp, xsave_bytes(host_fp));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 64;
    }
    int fd = open(argv[1], O_RDWR);
    size_t length = strtoul(argv[2], NULL, 10) * sizeof(struct slot);
    slots = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    int code = memfd_create("code", MFD_CLOEXEC);
    if (slots == MAP_FAILED || code < 0 || ftruncate(code, PAGE) != 0) {
        return 71;
    }
    code_alias = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, code, 0);
    if (code_alias == MAP_FAILED
        || mmap((void *)CODE_BASE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, code, 0) != (void *)CODE_BASE
        || mmap((void *)DATA_BASE, DATA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
            != (void *)DATA_BASE) {
        return 72;
    }
    /* Frames with AVX-512 or AMX state are larger than MINSIGSTKSZ says. */
    stack_t stack = { .ss_sp = malloc(1 << 18), .ss_size = 1 << 18 };
    if (sigaltstack(&stack, NULL) != 0) {
        return 73;
    }
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    const int caught[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    for (unsigned i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        if (sigaction(caught[i], &action, NULL) != 0) {
            return 74;
        }
    }
    uint32_t n;
    while (read(0, &n, sizeof n) == sizeof n) {
        slot_count = n;
        __asm__ volatile("int3" : : : "memory");
        if (write(1, &n, sizeof n) != sizeof n) {
            return 75;
        }
    }
    return 0;
}
