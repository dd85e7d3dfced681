/* Hardware breakpoints: another process watched through the debug registers. */
#define _GNU_SOURCE
#include "stress_trace.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>

enum { EXECUTE = 0, WRITE = 1, READ_WRITE = 3, BS = 1 << 14 };

/* Every access to `watched`, with an end mark behind it: a data breakpoint is a trap. */
long watch_program(void);
extern const uint64_t __start_watch_trail[];
unsigned char watched[256] __attribute__((aligned(64)));
#define AT MARK(watch_trail)
__asm__(
    ".text\n"
    "watch_program: push %rbx\n"
    "lea watched(%rip), %rdi\n mov %rdi, %rsi\n"
    AT /* 0 */ "movb $1, 64(%rdi)\n"
    AT /* 1 */ "movw $2, 66(%rdi)\n"
    AT /* 2 */ "movl $3, 68(%rdi)\n"
    AT /* 3 */ "movq $4, 72(%rdi)\n"
    AT /* 4 */ "movb 64(%rdi), %al\n"
    AT /* 5 */ "movw 66(%rdi), %ax\n"
    AT /* 6 */ "movl 68(%rdi), %eax\n"
    AT /* 7 */ "movq 72(%rdi), %rax\n"
    AT /* 8 */ "movq $5, 61(%rdi)\n" /* covers 61 to 68 */
    AT /* 9 */ "lock addl $1, 68(%rdi)\n"
    AT /* 10 */ "movups 64(%rdi), %xmm0\n"
    AT /* 11 */ "movups %xmm0, 64(%rdi)\n"
    AT /* 12 */ "mov %rsp, %rbx\n"
    AT /* 13 */ "lea 80(%rdi), %rsp\n"
    AT /* 14 */ "push %rax\n"
    AT /* 15 */ "pop %rax\n"
    AT /* 16 */ "call 1f\n"
    "1:" AT /* 17 */ "mov %rbx, %rsp\n"
    AT /* 18 */ "add $60, %rdi\n"
    AT /* 19 */ "mov $12, %ecx\n"
    AT /* 20 */ "rep stosb\n"
    AT /* 21 */ "lea watched(%rip), %rdi\n"
    AT /* 22 */ "xor %eax, %eax\n"
    AT /* 23 */ "cmpxchg %rax, 72(%rdi)\n"
    AT /* 24 */ "fildl 68(%rdi)\n"
    AT /* 25 */ "fistpl 68(%rdi)\n"
    AT /* 26 */ "btsl $3, 64(%rdi)\n"
    AT /* 27 */ "mov $2, %ecx\n"
    "2:" AT /* 28 */ "dec %ecx\n"
    AT /* 29 */ "jnz 2b\n"
    AT /* 30 */ "pop %rbx\n"
    "mov $7, %eax\n ret\n");

/* Bytes of `watched` that an instruction reads and writes: what it touches is [from, from + size). */
static const struct access {
    unsigned char number, from, size, writes, reads;
} accesses[] = {
    { 0, 64, 1, 1, 0 }, { 1, 66, 2, 1, 0 }, { 2, 68, 4, 1, 0 }, { 3, 72, 8, 1, 0 }, { 4, 64, 1, 0, 1 }, { 5, 66, 2, 0, 1 }, { 6, 68, 4, 0, 1 },
    { 7, 72, 8, 0, 1 }, { 8, 61, 8, 1, 0 }, { 9, 68, 4, 1, 1 }, { 10, 64, 16, 0, 1 }, { 11, 64, 16, 1, 0 }, { 14, 72, 8, 1, 0 }, { 15, 72, 8, 0, 1 },
    { 16, 72, 8, 1, 0 }, { 20, 60, 12, 1, 0 }, { 23, 72, 8, 1, 1 }, { 24, 68, 4, 0, 1 }, { 25, 68, 4, 1, 0 }, { 26, 64, 4, 1, 1 },
};

static uint64_t control(int number, int kind, int length)
{
    uint64_t encoded = length == 1 ? 0 : length == 2 ? 1 : length == 8 ? 2 : 3;
    return 1UL << (2 * number) | (uint64_t)(kind | encoded << 2) << (16 + 4 * number);
}

static void expect_stop(pid_t child, int signal, uint64_t rip, uint64_t status, int code, const char *what)
{
    uint64_t at = trace_registers(child).rip, dr6 = trace_debug(child, 6);
    EXPECT(signal == SIGTRAP && at == rip, "%s: signal %d at %lx, not at %lx", what, signal, at, rip);
    EXPECT((dr6 & (BS | 15)) == status, "%s at %lx: DR6 %lx, not %lx", what, at, dr6, status);
    EXPECT(trace_code(child) == code, "%s at %lx: code %d, not %d", what, at, trace_code(child), code);
    trace_set_debug(child, 6, 0);
}

/* One breakpoint: exactly the accesses that touch it stop the child, each at the next instruction. */
static void watch_data(int number, int kind, int from, int length)
{
    pid_t child = trace_start(watch_program);
    EXPECT(trace_set_debug(child, number, (uint64_t)watched + from) == 0, "DR%d", number);
    EXPECT(trace_set_debug(child, 7, control(number, kind, length)) == 0, "DR7");
    EXPECT(trace_debug(child, number) == (uint64_t)watched + from, "DR%d reads %lx", number, trace_debug(child, number));
    for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
        const struct access *a = &accesses[i];
        int touches = a->from < from + length && from < a->from + a->size;
        if (!touches || !(kind == WRITE ? a->writes : a->writes | a->reads))
            continue;
        char what[80];
        snprintf(what, sizeof what, "instruction %d, kind %d at %d, %d bytes", a->number, kind, from, length);
        if (a->number == 20) {
            /* A repeated string traps after an iteration; how many later is the CPU's (SDM 3B 17.2.5), so that only the first byte counts. */
            int before = a->from < from ? from - a->from : 0, stops = 0;
            for (;;) {
                EXPECT(trace_go(child, PTRACE_CONT, 0) == SIGTRAP, "%s", what);
                struct user_regs_struct registers = trace_registers(child);
                trace_set_debug(child, 6, 0);
                stops++;
                EXPECT(registers.rip == __start_watch_trail[20] || registers.rip == __start_watch_trail[21], "%s: at %llx", what, registers.rip);
                EXPECT((int)registers.rcx < 12 - before, "%s: rcx %llu", what, registers.rcx);
                if (registers.rip == __start_watch_trail[21] || (int)(registers.rdi - (uint64_t)watched) >= from + length)
                    break;
            }
            EXPECT(stops <= length, "%s: %d stops", what, stops);
            continue;
        }
        expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[a->number + 1], 1UL << number, TRAP_HWBKPT, what);
    }
    trace_end(child, 7);
}

/* The instruction has not run when the child stops, and runs when it goes on. */
static void watch_execution(void)
{
    pid_t child = trace_start(watch_program);
    static const int at[] = { 0, 9, 28, 20 };
    uint64_t dr7 = 0;
    for (int i = 0; i < 4; i++) {
        EXPECT(trace_set_debug(child, i, __start_watch_trail[at[i]]) == 0, "DR%d", i);
        dr7 |= control(i, EXECUTE, 1);
    }
    EXPECT(trace_set_debug(child, 7, dr7) == 0, "DR7");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[0], 1, TRAP_HWBKPT, "execution of 0");
    EXPECT((ptrace(PTRACE_PEEKDATA, child, watched + 64, 0) & 255) == 0, "the instruction at a breakpoint ran");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[9], 2, TRAP_HWBKPT, "execution of 9");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[20], 8, TRAP_HWBKPT, "execution of 20");
    EXPECT(trace_registers(child).rcx == 12, "rep stosb began before its breakpoint");
    for (int i = 0; i < 2; i++) {
        expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[28], 4, TRAP_HWBKPT, "execution of 28");
        EXPECT(trace_registers(child).rcx == 2 - (uint64_t)i, "round %d of a loop: rcx %llu", i, trace_registers(child).rcx);
    }
    trace_end(child, 7);
}

/* Several at one access, a step and a breakpoint at once, and breakpoints that are turned off again. */
static void watch_together(void)
{
    pid_t child = trace_start(watch_program);
    trace_set_debug(child, 0, (uint64_t)watched + 66);
    trace_set_debug(child, 1, (uint64_t)watched + 64);
    trace_set_debug(child, 3, __start_watch_trail[2]);
    EXPECT(trace_set_debug(child, 7, control(0, WRITE, 1) | control(1, READ_WRITE, 4) | control(3, EXECUTE, 1)) == 0, "DR7");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[1], 2, TRAP_HWBKPT, "the first of two");
    int signal = trace_go(child, PTRACE_SINGLESTEP, 0);
    /* First the trap behind instruction 1, with both; then the fault in front of 2. */
    expect_stop(child, signal, __start_watch_trail[2], BS | 3, TRAP_TRACE, "a step onto two");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[2], 8, TRAP_HWBKPT, "execution behind a step");
    EXPECT(trace_set_debug(child, 7, control(1, READ_WRITE, 4)) == 0, "DR7");
    expect_stop(child, trace_go(child, PTRACE_CONT, 0), __start_watch_trail[5], 2, TRAP_HWBKPT, "the one that is left");
    EXPECT(trace_set_debug(child, 7, 0) == 0, "DR7");
    trace_end(child, 7);

    /* What the kernel refuses. */
    child = trace_start(watch_program);
    EXPECT(trace_set_debug(child, 0, 0xffffffff81000000UL) || trace_set_debug(child, 7, control(0, WRITE, 8)), "a breakpoint in the kernel");
    trace_end(child, 7);
}

void check_watch(uint64_t seed)
{
    static const unsigned char lengths[] = { 1, 2, 4, 8 };
    for (int i = 0; i < 4; i++) {
        int length = lengths[i], slots = 16 / length;
        watch_data(next_random(&seed) & 3, WRITE, 64 + next_random(&seed) % slots * length, length);
        watch_data(next_random(&seed) & 3, READ_WRITE, 64 + next_random(&seed) % slots * length, length);
    }
    watch_execution();
    watch_together();
}
