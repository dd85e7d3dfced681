/* Stacks: deep ones, left by longjmp, switched by hand; returns that match no call. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

static jmp_buf levels[8];
static volatile int unwound;

static __attribute__((noinline)) long descend(int depth, int mark_every, long sum)
{
    volatile long here = depth * 3 + 1;
    if (depth == 0) {
        if (unwound)
            return here;
        longjmp(levels[sum & 7], 1 + (sum & 3));
    }
    if (depth % mark_every == 0 && depth / mark_every < 8)
        if (setjmp(levels[depth / mark_every])) {
            EXPECT(here == depth * 3 + 1, "a local variable at depth %d is %ld", depth, here);
            unwound++;
            longjmp(levels[0], 9);
        }
    return descend(depth - 1, mark_every, sum) + here;
}

void check_longjmp(uint64_t seed)
{
    for (int i = 0; i < 200; i++) {
        int depth = 500 + next_random(&seed) % 2000, every = depth / 7, to = next_random(&seed) & 7;
        unwound = 0;
        int value = setjmp(levels[0]);
        if (value == 0)
            descend(depth, every, (long)(next_random(&seed) & ~7UL & 0xffff) | to);
        EXPECT(value == (to ? 9 : 1), "longjmp gave %d", value);
        EXPECT(unwound == (to != 0), "%d levels unwound to %d", unwound, to);
    }
}


static __attribute__((noinline)) uint64_t deep_a(uint64_t n, uint64_t value);
static __attribute__((noinline)) uint64_t deep_b(uint64_t n, uint64_t value)
{
    volatile uint64_t keep = value ^ n;
    uint64_t below = n ? deep_a(n - 1, value * 3) : value;
    return below + (keep ^ n);
}
static __attribute__((noinline)) uint64_t deep_a(uint64_t n, uint64_t value)
{
    volatile uint64_t keep = value;
    uint64_t (*volatile next)(uint64_t, uint64_t) = n & 1 ? deep_a : deep_b;
    uint64_t below = n ? next(n - 1, value + n) : value;
    return below + keep;
}

/* The same without a stack. */
static uint64_t deep_model(uint64_t n, uint64_t value)
{
    uint64_t sum = 0;
    int in_a = 1;
    for (;;) {
        sum += value;
        if (n == 0)
            return sum + value;
        if (in_a) {
            in_a = n & 1;
            value += n;
        } else {
            in_a = 1;
            value *= 3;
        }
        n--;
    }
}

static unsigned ackermann(unsigned m, unsigned n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static void *recurse(void *argument)
{
    uint64_t seed = *(uint64_t *)argument;
    for (int i = 0; i < 3; i++) {
        uint64_t depth = 100000 + next_random(&seed) % 60000, value = next_random(&seed);
        uint64_t result = deep_a(depth, value);
        EXPECT(result == deep_model(depth, value), "recursion %lu deep: %lx, not %lx", depth, result, deep_model(depth, value));
    }
    EXPECT(ackermann(2, 300) == 603 && ackermann(3, 6) == 509, "ackermann");
    return NULL;
}

void check_recursion(uint64_t seed)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 48 << 20);
    EXPECT(!pthread_create(&thread, &attributes, recurse, &seed), "a thread with a large stack");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/*
 * switch_stack(&from, to): saves what a call preserves, exchanges the stacks, returns on the other one.
 * The others are shapes of control flow that no compiler emits; each returns what is said.
 */
void switch_stack(void **from, void *to);
long push_return(long a);
long return_many(long a);
long call_pop(void);
long retpoline(long (*to)(long), long argument);
long changed_return(long a);
long return_to_return(long a);
long skip_returns(long a);
long tail_swap(long a);
__asm__(
    ".text\n"
    "switch_stack: push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
    /* A jump by way of a pushed address: a + 5. */
    "push_return: lea 1f(%rip), %rax\n push %rax\n ret\n ud2\n 1: lea 5(%rdi), %rax\n ret\n"
    /* Arguments that the callee takes off: 7 a. */
    "return_many: push %rdi\n push %rdi\n push %rdi\n call 1f\n ret\n"
    "1: mov 8(%rsp), %rax\n add 16(%rsp), %rax\n add 24(%rsp), %rax\n lea (%rdi,%rax,2), %rax\n ret $24\n"
    /* The address of the program counter, without a return: 0 when it is right. */
    "call_pop: call 1f\n 1: pop %rax\n lea 1b(%rip), %rcx\n sub %rcx, %rax\n ret\n"
    "retpoline: mov %rdi, %rax\n mov %rsi, %rdi\n call 2f\n 1: pause\n lfence\n jmp 1b\n 2: mov %rax, (%rsp)\n ret\n"
    /* The callee returns elsewhere than to its caller: a * 3. */
    "changed_return: call 1f\n ud2\n 1: lea 2f(%rip), %rax\n mov %rax, (%rsp)\n ret\n ud2\n 2: lea (%rdi,%rdi,2), %rax\n ret\n"
    /* A row of addresses, each returned to in turn: ((a + 1) * 2 + 1) * 2. */
    "return_to_return: mov %rdi, %rax\n lea 8f(%rip), %rcx\n lea 9f(%rip), %rdx\n push %rcx\n push %rdx\n push %rcx\n push %rdx\n ret\n"
    "9: inc %rax\n ret\n 8: add %rax, %rax\n ret\n"
    /* Three calls deep, and out with one return: a - 1. */
    "skip_returns: call 1f\n ud2\n 1: call 2f\n ud2\n 2: call 3f\n ud2\n 3: add $24, %rsp\n lea -1(%rdi), %rax\n ret\n"
    /* A return address taken off, kept in a register, and jumped to: a ^ 0x55. */
    "tail_swap: pop %rsi\n mov %rdi, %rax\n xor $0x55, %rax\n jmp *%rsi\n");

static long twice(long value)
{
    return 2 * value;
}

enum { COROUTINES = 6, STACK = 32768 };

static struct coroutine {
    void *stack, *memory;
    uint64_t seed, sum;
    int number, ended;
} coroutines[COROUTINES + 1];
static int running, switches;

static void go_to(int next)
{
    int from = running;
    if (next == from)
        return;
    running = next;
    switches++;
    switch_stack(&coroutines[from].stack, coroutines[next].stack);
}

/* Switches at random depths, so that one stack's calls end while another's are open. */
static __attribute__((noinline)) uint64_t wander(struct coroutine *self, int depth)
{
    volatile uint64_t mark = self->number * 1000 + depth;
    uint64_t sum = depth;
    if (depth && next_random(&self->seed) % 8)
        sum += wander(self, depth - 1);
    go_to(next_random(&self->seed) % (COROUTINES + 1));
    EXPECT(running == self->number && mark == (uint64_t)(self->number * 1000 + depth), "coroutine %d came back as %d", self->number, running);
    return sum;
}

static void coroutine_main(void)
{
    struct coroutine *self = &coroutines[running];
    for (int i = 0; i < 40; i++)
        self->sum += wander(self, 1 + next_random(&self->seed) % 30);
    self->ended = 1;
    for (;;)
        go_to(0);
}

static ucontext_t contexts[3];
static uint64_t produced, consumed;

static void produce(void)
{
    for (uint64_t i = 1;; i++) {
        produced = i * i;
        swapcontext(&contexts[1], &contexts[i % 2 ? 2 : 0]);
    }
}

static void consume(void)
{
    for (;;) {
        consumed += produced;
        swapcontext(&contexts[2], &contexts[1]);
    }
}

static void check_contexts(void)
{
    char *memory = malloc(2 * STACK);
    for (int i = 1; i <= 2; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = memory + (i - 1) * STACK;
        contexts[i].uc_stack.ss_size = STACK;
        makecontext(&contexts[i], i == 1 ? produce : consume, 0);
    }
    produced = consumed = 0;
    uint64_t right = 0;
    for (uint64_t i = 0; i < 300; i++) {
        swapcontext(&contexts[0], &contexts[1]);
        right += (2 * i + 1) * (2 * i + 1);
        EXPECT(produced == (2 * i + 2) * (2 * i + 2) && consumed == right, "swapcontext %lu: %lu and %lu", i, produced, consumed);
    }
    free(memory);
}

void check_coroutines(uint64_t seed)
{
    for (int i = 0; i < 300; i++) {
        long a = next_random(&seed) >> 8;
        EXPECT(push_return(a) == a + 5, "push and ret");
        EXPECT(return_many(a) == 7 * a, "ret $24");
        EXPECT(call_pop() == 0, "call and pop");
        EXPECT(retpoline(twice, a) == 2 * a, "retpoline");
        EXPECT(changed_return(a) == 3 * a, "a changed return address");
        EXPECT(return_to_return(a) == ((a + 1) * 2 + 1) * 2, "a row of returns");
        EXPECT(skip_returns(a) == a - 1, "returns left out");
        EXPECT(tail_swap(a) == (a ^ 0x55), "pop and jmp");
    }

    running = switches = 0;
    for (int i = 1; i <= COROUTINES; i++) {
        struct coroutine *c = &coroutines[i];
        *c = (struct coroutine){ .memory = malloc(STACK), .seed = next_random(&seed) | 1, .number = i };
        uint64_t *top = (uint64_t *)((char *)c->memory + STACK);
        *--top = 0; /* so that RSP is as after a call */
        *--top = (uint64_t)coroutine_main;
        c->stack = top - 6;
        memset(c->stack, 0, 48);
    }
    for (;;) {
        int open = 0;
        for (int i = 1; i <= COROUTINES; i++) {
            if (!coroutines[i].ended) {
                open = 1;
                go_to(i);
            }
        }
        if (!open)
            break;
    }
    EXPECT(switches > 1000, "%d switches only", switches);
    for (int i = 1; i <= COROUTINES; i++) {
        EXPECT(coroutines[i].sum > 0, "coroutine %d did nothing", i);
        free(coroutines[i].memory);
    }
    check_contexts();
}
