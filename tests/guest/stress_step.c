/* Single-stepping another process, instruction by instruction. */
#define _GNU_SOURCE
#include "stress_trace.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t trace_start(long (*run)(void))
{
    pid_t child = fork();
    EXPECT(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            _exit(101);
        raise(SIGSTOP);
        _exit(run());
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "the traced child's start: status %x", status);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL);
    return child;
}

int trace_go(pid_t child, int request, int signal)
{
    int status;
    EXPECT(ptrace(request, child, 0, signal) == 0, "ptrace request %d: %s", request, strerror(errno));
    EXPECT(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
    return WIFSTOPPED(status) ? WSTOPSIG(status) : -1 - (WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
}

struct user_regs_struct trace_registers(pid_t child)
{
    struct user_regs_struct registers;
    EXPECT(ptrace(PTRACE_GETREGS, child, 0, &registers) == 0, "PTRACE_GETREGS: %s", strerror(errno));
    return registers;
}

int trace_code(pid_t child)
{
    siginfo_t info;
    EXPECT(ptrace(PTRACE_GETSIGINFO, child, 0, &info) == 0, "PTRACE_GETSIGINFO: %s", strerror(errno));
    return info.si_code;
}

uint64_t trace_debug(pid_t child, int number)
{
    return ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + 8 * number, 0);
}

int trace_set_debug(pid_t child, int number, uint64_t value)
{
    return ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + 8 * number, value) ? errno : 0;
}

void trace_end(pid_t child, int status)
{
    int end = trace_go(child, PTRACE_CONT, 0);
    EXPECT(end == -1 - status, "the traced child ended with %d, not %d", -1 - end, status);
}

void trace_step_to(pid_t child, uint64_t address, int limit)
{
    for (int i = 0; trace_registers(child).rip != address; i++) {
        EXPECT(i < limit, "the traced child did not come to %lx in %d steps, it is at %llx", address, limit, trace_registers(child).rip);
        int signal = trace_go(child, PTRACE_SINGLESTEP, 0);
        EXPECT(signal == SIGTRAP, "step %d gave signal %d", i, signal);
    }
}

/* The instructions have numbers; the trail says in which order a step comes to them. */
long step_program(void);
extern const uint64_t __start_step_trail[];
char step_source[] = "abcdefgh", step_target[16];
#define AT MARK(step_trail)
__asm__(
    ".text\n"
    "step_program:\n"
    AT /* 0 */ "nop\n"
    AT /* 1 */ "mov $3, %ecx\n"
    "1:" AT /* 2 */ "add $1, %eax\n"
    AT /* 3 */ "dec %ecx\n"
    AT /* 4 */ "jnz 1b\n"
    AT /* 5 */ "call 2f\n"
    AT /* 6 */ "pushfq\n"
    AT /* 7 */ "andq $~0x100, (%rsp)\n"
    AT /* 8 */ "popfq\n"
    AT /* 9 */ "lea step_source(%rip), %rsi\n"
    AT /* 10 */ "lea step_target(%rip), %rdi\n"
    AT /* 11 */ "mov $4, %ecx\n"
    AT /* 12 */ "rep movsb\n"
    AT /* 13 */ "mov %ss, %edx\n"
    AT /* 14 */ "mov %edx, %ss\n"
    AT /* 15 */ "nop\n"
    AT /* 16 */ "mov $39, %eax\n"
    AT /* 17 */ "syscall\n"
    AT /* 18 */ "push %rbx\n"
    AT /* 19 */ "xor %eax, %eax\n"
    AT /* 20 */ "cpuid\n"
    AT /* 21 */ "pop %rbx\n"
    AT /* 22 */ "lea 3f(%rip), %rax\n"
    AT /* 23 */ "jmp *%rax\n"
    "2:" AT /* 24 */ "xor %edx, %edx\n"
    AT /* 25 */ "ret\n"
    "3:" AT /* 26 */ "xor %ecx, %ecx\n"
    AT /* 27 */ "rep stosb\n"
    AT /* 28 */ "mov $8, %ecx\n"
    AT /* 29 */ "lea step_source(%rip), %rdi\n"
    AT /* 30 */ "mov $'c', %al\n"
    AT /* 31 */ "repne scasb\n"
    AT /* 32 */ "mov $3, %cl\n"
    "4:" AT /* 33 */ "loop 4b\n"
    AT /* 34 */ "jrcxz 5f\n"
    "ud2\n"
    "5:" AT /* 35 */ "fldpi\n"
    AT /* 36 */ "fstp %st(0)\n"
    AT /* 37 */ "lock incl step_target+8(%rip)\n"
    AT /* 38 */ "rdtsc\n"
    AT /* 39 */ "movups step_source-7(%rip), %xmm0\n"
    AT /* 40 */ "mov $1000, %eax\n"
    AT /* 41 */ "syscall\n" /* no such system call */
    AT /* 42 */ "neg %eax\n"
    AT /* 43 */ "ret\n");

/* Where each step ends, from instruction 0 on. 14 loads SS: no trap behind it, but behind 15. */
static const unsigned char trail[] = {
    1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 5, 24, 25, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23,
    26, 27, 28, 29, 30, 31, 31, 31, 32, 33, 33, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
};

static void check_trail(void)
{
    pid_t child = trace_start(step_program);
    trace_step_to(child, __start_step_trail[0], 20000);
    uint64_t stack = trace_registers(child).rsp;
    int repeats = 0;
    for (size_t i = 0; i < sizeof trail; i++) {
        int signal = trace_go(child, PTRACE_SINGLESTEP, 0);
        struct user_regs_struct registers = trace_registers(child);
        EXPECT(signal == SIGTRAP && registers.rip == __start_step_trail[trail[i]], "step %zu: signal %d at %llx, not %lx (instruction %d)", i, signal,
            registers.rip, __start_step_trail[trail[i]], trail[i]);
        EXPECT(trace_code(child) == (trail[i] == 18 || trail[i] == 42 ? TRAP_BRKPT : TRAP_TRACE), "step %zu to %d: code %d", i, trail[i], trace_code(child));
        /* Linux takes TF for the child's own once it has stepped a popf. */
        EXPECT(i > 16 || !(registers.eflags & 0x100), "step %zu to %d: the flags %llx show TF", i, trail[i], registers.eflags);
        uint64_t depth = trail[i] == 24 || trail[i] == 25 || trail[i] == 7 || trail[i] == 8 || (trail[i] > 18 && trail[i] < 22) ? 8 : 0;
        EXPECT(registers.rsp == stack - depth, "step %zu: stack %llx", i, registers.rsp);
        if (trail[i] == 12 && i > 0 && trail[i - 1] == 12)
            EXPECT(registers.rcx == 3 - (uint64_t)repeats++, "step %zu: rcx %llu", i, registers.rcx);
        if (trail[i] == 31 && trail[i - 1] == 31)
            EXPECT(registers.rcx == (trail[i - 2] == 31 ? 6 : 7), "step %zu: rcx %llu", i, registers.rcx);
        if (trail[i] == 42)
            EXPECT(registers.rax == -(uint64_t)ENOSYS && registers.rcx == registers.rip, "step %zu: rax %llx rcx %llx", i, registers.rax, registers.rcx);
    }
    struct user_regs_struct last = trace_registers(child);
    last.eflags &= ~0x100;
    EXPECT(ptrace(PTRACE_SETREGS, child, 0, &last) == 0, "PTRACE_SETREGS: %s", strerror(errno));
    trace_end(child, ENOSYS);
}

static volatile int handled;
static void on_signal(int signal)
{
    handled = signal;
}

long step_spin(void);
extern char step_spin_at[], step_spin_next[];
__asm__("step_spin: mov $5, %eax\n step_spin_at: nop\n step_spin_next: nop\n ret\n");

static long handle_and_spin(void)
{
    signal(SIGUSR1, on_signal);
    long result = step_spin();
    return handled == SIGUSR1 ? result : 99;
}

/* A step that delivers a signal ends at the handler's first instruction, and the handler's return at the interrupted one. */
static void check_step_into_handler(void)
{
    pid_t child = trace_start(handle_and_spin);
    trace_step_to(child, (uint64_t)step_spin_at, 20000);
    EXPECT(trace_go(child, PTRACE_SINGLESTEP, SIGUSR1) == SIGTRAP, "a step with a signal");
    EXPECT(trace_registers(child).rip == (uint64_t)on_signal && trace_registers(child).rdi == SIGUSR1, "the handler is at %llx", trace_registers(child).rip);
    trace_step_to(child, (uint64_t)step_spin_at, 200);
    EXPECT(trace_go(child, PTRACE_SINGLESTEP, 0) == SIGTRAP, "a step behind the handler");
    EXPECT(trace_registers(child).rip == (uint64_t)step_spin_next, "behind the handler at %llx", trace_registers(child).rip);
    trace_end(child, 5);
}

static unsigned char work_area[300];

/* Ordinary compiled code: its trail is the same every time and everywhere. */
static __attribute__((noinline)) long step_work(void)
{
    uint64_t seed = 99;
    for (int i = 0; i < 40; i++)
        work_area[i * 7] = next_random(&seed);
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 11; j++)
            if (work_area[j * 7] > work_area[j * 7 + 7]) {
                unsigned char other = work_area[j * 7];
                work_area[j * 7] = work_area[j * 7 + 7];
                work_area[j * 7 + 7] = other;
            }
    return fnv(work_area, sizeof work_area) & 0x7f;
}

uint64_t step_trail_hash(int steps)
{
    pid_t child = trace_start(step_work);
    trace_step_to(child, (uint64_t)step_work, 20000);
    uint64_t hash = 1;
    for (int i = 0; i < steps; i++) {
        EXPECT(trace_go(child, PTRACE_SINGLESTEP, 0) == SIGTRAP, "step %d of a trail", i);
        hash = (hash ^ trace_registers(child).rip) * 0x100000001b3ULL;
    }
    memset(work_area, 0, sizeof work_area);
    long right = step_work();
    memset(work_area, 0, sizeof work_area);
    trace_end(child, right);
    return hash;
}

void check_step(uint64_t seed)
{
    check_trail();
    check_step_into_handler();
    (void)seed;
}
