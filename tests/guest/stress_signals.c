/* Signals and timers: what a signal must leave alone, the order of queued ones, no early expiry. */
#include "stress.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t received, nested, depth;
static int order[64];

static void on_alarm(int signal)
{
    (void)signal;
    received++;
    /* Wipe what the interrupted code uses: the return must bring it back. */
    __asm__ volatile("pxor %%xmm0, %%xmm0\n pxor %%xmm7, %%xmm7\n pxor %%xmm15, %%xmm15\n fninit\n xor %%r15d, %%r15d\n std\n cld"
        : : : "xmm0", "xmm7", "xmm15", "r15", "cc");
}

/* Counts to `turns` with values in registers that the compiler knows nothing of; returns the number of wrong ones. */
static long keep_registers(long turns)
{
    long wrong = 0;
    __asm__ volatile(
        "mov $0x1111111111111111, %%r8\n mov $0x9999999999999999, %%r15\n"
        "movq %%r8, %%xmm0\n movq %%r15, %%xmm7\n movq %%r8, %%xmm15\n fldpi\n"
        "1: stc\n"
        "mov $0x7fffffff, %%edx\n add $1, %%edx\n" /* sets OF and SF */
        "jno 8f\n jns 8f\n"
        "movq %%xmm0, %%r9\n cmp %%r8, %%r9\n jne 8f\n"
        "movq %%xmm7, %%r10\n cmp %%r15, %%r10\n jne 8f\n"
        "movq %%xmm15, %%r11\n cmp %%r8, %%r11\n jne 8f\n"
        "mov $0x9999999999999999, %%r12\n cmp %%r12, %%r15\n jne 8f\n"
        "jmp 9f\n"
        "8: inc %0\n"
        "9: dec %1\n jnz 1b\n"
        "fldpi\n fcomip %%st(1), %%st\n fstp %%st(0)\n je 7f\n inc %0\n"
        "7:\n"
        : "+r"(wrong), "+r"(turns)
        :
        : "rdx", "r8", "r9", "r10", "r11", "r12", "r15", "xmm0", "xmm7", "xmm15", "cc", "st", "st(1)");
    return wrong;
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (received < 64)
        order[received] = signal * 100 + info->si_value.sival_int;
    received++;
}

static void on_nested(int signal)
{
    depth++;
    if (depth > nested)
        nested = depth;
    if (signal < SIGRTMIN + 5)
        raise(signal + 1);
    depth--;
}

static char alternate[32768];
static volatile int on_alternate;

static void on_overflow(int signal, siginfo_t *info, void *context)
{
    char here;
    (void)signal;
    (void)info;
    (void)context;
    on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
}

void check_signals(uint64_t seed)
{
    sigset_t all, old, pending;

    /* Registers, flags, SSE and x87 across timer signals. */
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
    received = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; received < 20; i++) {
        long wrong = keep_registers(20000);
        EXPECT(wrong == 0, "%ld registers lost over a signal", wrong);
    }
    setitimer(ITIMER_REAL, &never, NULL);

    /* Real-time signals arrive lowest number first, each in the order sent. */
    struct sigaction queued = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };
    sigfillset(&queued.sa_mask);
    for (int i = 0; i < 4; i++)
        sigaction(SIGRTMIN + i, &queued, NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    received = 0;
    for (int i = 0; i < 12; i++) {
        union sigval value = { .sival_int = i };
        EXPECT(sigqueue(getpid(), SIGRTMIN + 3 - i % 4, value) == 0, "sigqueue: %s", strerror(errno));
    }
    sigpending(&pending);
    EXPECT(received == 0 && sigismember(&pending, SIGRTMIN + 2), "a blocked signal came");
    sigprocmask(SIG_SETMASK, &old, NULL);
    EXPECT(received == 12, "%d queued signals instead of 12", received);
    for (int i = 0; i < 12; i++) {
        int number = i / 3, turn = i % 3;
        EXPECT(order[i] == (SIGRTMIN + number) * 100 + turn * 4 + 3 - number, "signal %d is %d", i, order[i]);
    }

    /* A handler interrupted by the next, five deep. */
    action.sa_handler = on_nested;
    for (int i = 0; i < 6; i++)
        sigaction(SIGRTMIN + i, &action, NULL);
    nested = depth = 0;
    raise(SIGRTMIN);
    EXPECT(nested == 6 && depth == 0, "nested %d deep, %d left", nested, depth);

    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction aside = { .sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &aside, NULL);
    raise(SIGUSR1);
    EXPECT(on_alternate, "the handler is not on the alternate stack");
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    (void)seed;
}

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void check_timers(uint64_t seed)
{
    for (int i = 0; i < 5; i++) {
        long pause = 100000 + next_random(&seed) % 3000000;
        struct timespec wish = { 0, pause };
        int64_t start = nanoseconds(CLOCK_MONOTONIC);
        while (nanosleep(&wish, &wish) && errno == EINTR)
            ;
        int64_t took = nanoseconds(CLOCK_MONOTONIC) - start;
        EXPECT(took >= pause, "nanosleep of %ld ns took %ld", pause, took);
    }

    int timer = timerfd_create(CLOCK_MONOTONIC, 0), epoll = epoll_create1(0);
    EXPECT(timer >= 0 && epoll >= 0, "timerfd or epoll: %s", strerror(errno));
    struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = seed } };
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    struct itimerspec every = { { 0, 2000000 }, { 0, 2000000 } };
    int64_t start = nanoseconds(CLOCK_MONOTONIC);
    timerfd_settime(timer, 0, &every, NULL);
    uint64_t total = 0;
    while (total < 10) {
        uint64_t expired;
        EXPECT(epoll_wait(epoll, &event, 1, 60000) == 1 && event.data.u64 == seed, "epoll_wait on a timer");
        EXPECT(read(timer, &expired, 8) == 8 && expired > 0, "read of a timer");
        total += expired;
        int64_t took = nanoseconds(CLOCK_MONOTONIC) - start;
        EXPECT(took >= (int64_t)total * 2000000, "%lu expiries after %ld ns", total, took);
    }
    close(timer);
    close(epoll);

    /* A signal from a POSIX timer, waited for and not handled. */
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 8);
    sigprocmask(SIG_BLOCK, &set, &old);
    timer_t posix;
    struct sigevent notify = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 8, .sigev_value = { .sival_int = 42 } };
    EXPECT(timer_create(CLOCK_MONOTONIC, &notify, &posix) == 0, "timer_create: %s", strerror(errno));
    struct itimerspec once = { { 0, 0 }, { 0, 1500000 } };
    start = nanoseconds(CLOCK_MONOTONIC);
    timer_settime(posix, 0, &once, NULL);
    siginfo_t info;
    EXPECT(sigwaitinfo(&set, &info) == SIGRTMIN + 8 && info.si_value.sival_int == 42, "the timer's signal");
    EXPECT(nanoseconds(CLOCK_MONOTONIC) - start >= 1500000, "the timer's signal came early");
    timer_delete(posix);
    sigprocmask(SIG_SETMASK, &old, NULL);
}
