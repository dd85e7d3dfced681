/* One way for all checks to catch a signal: keep what it says, and leave the code that raised it. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STACK = 65536 };

__thread volatile struct caught caught;
__thread sigjmp_buf caught_jump;
static __thread void *stack;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    /* Linux leaves EFLAGS.AC as it was, and this is code like any other. */
    __asm__ volatile("pushfq\n andl $~0x40000, (%%rsp)\n popfq" : : : "memory", "cc");
    ucontext_t *user = context;
    caught.count++;
    caught.signal = signal;
    caught.code = info->si_code;
    caught.address = (uint64_t)info->si_addr;
    for (int i = 0; i < NGREG; i++)
        caught.registers[i] = user->uc_mcontext.gregs[i];
    caught.mxcsr = user->uc_mcontext.fpregs->mxcsr;
    caught.status = user->uc_mcontext.fpregs->swd;
    memcpy((void *)caught.xmm, user->uc_mcontext.fpregs->_xmm, sizeof caught.xmm);
    siglongjmp(caught_jump, 1);
}

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };

void catch_begin_thread(void)
{
    stack = malloc(STACK);
    stack_t alternate = { .ss_sp = stack, .ss_size = STACK };
    EXPECT(stack && sigaltstack(&alternate, NULL) == 0, "sigaltstack: %s", strerror(errno));
}

void catch_end_thread(void)
{
    stack_t none = { .ss_flags = SS_DISABLE };
    sigaltstack(&none, NULL);
    free(stack);
    stack = NULL;
}

void catch_begin(void)
{
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    catch_begin_thread();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

void catch_end(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    catch_end_thread();
}

unsigned char *code_pages(size_t pages)
{
    unsigned char *code = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(code != MAP_FAILED, "mmap of code: %s", strerror(errno));
    return code;
}
