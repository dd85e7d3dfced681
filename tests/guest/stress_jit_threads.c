/* Code that one thread changes and another one runs. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { PATCHERS = 3, VERSIONS = 120 };

static struct region {
    unsigned char *code;
    uint64_t seed;
    atomic_int ready, done; /* the version that may be run; the last one that was */
    uint32_t value;
} regions[PATCHERS];

/* Spins for a while, then lets another thread run: there may be one CPU only. */
static void wait_for(atomic_int *word, int value)
{
    for (int i = 0; atomic_load(word) < value; i++) {
        if (i % 64 == 63)
            sched_yield();
        else
            __asm__ volatile("pause");
    }
}

/* Each version is a change of another kind: a new function, an immediate, an opcode, a jump to another place. */
static void *patcher(void *argument)
{
    struct region *region = argument;
    unsigned char *at = region->code + PAGE - 3, *other = region->code + 500;
    for (int version = 1; version <= VERSIONS; version++) {
        wait_for(&region->done, version - 1);
        uint32_t value = next_random(&region->seed);
        switch (version % 4) {
        case 1:
            put_return(at, value);
            break;
        case 2:
            put32(at + 1, value);
            break;
        case 3:
            /* xor %eax, %eax; ret in place of the first bytes. */
            put(at, "\x31\xc0\xc3", 3);
            value = 0;
            break;
        default:
            put_return(other, value);
            *at = 0xe9;
            put32(at + 1, other - (at + 5));
            break;
        }
        region->value = value;
        atomic_store(&region->ready, version);
    }
    return NULL;
}

static void *runner(void *argument)
{
    for (int version = 1; version <= VERSIONS; version++) {
        for (int i = 0; i < PATCHERS; i++) {
            struct region *region = &regions[i];
            wait_for(&region->ready, version);
            serialise();
            for (int j = 0; j < 3; j++) {
                uint32_t result = call_at(region->code + PAGE - 3);
                EXPECT(result == region->value, "version %d of region %d: %x, not %x", version, i, result, region->value);
            }
            atomic_store(&region->done, version);
        }
    }
    return argument;
}

void check_jit_threads(uint64_t seed)
{
    pthread_t threads[PATCHERS + 1];
    for (int i = 0; i < PATCHERS; i++) {
        regions[i].code = code_pages(2);
        regions[i].seed = next_random(&seed) | 1;
        atomic_store(&regions[i].ready, 0);
        atomic_store(&regions[i].done, 0);
        EXPECT(!pthread_create(&threads[i], NULL, patcher, &regions[i]), "pthread_create");
    }
    EXPECT(!pthread_create(&threads[PATCHERS], NULL, runner, NULL), "pthread_create");
    for (int i = 0; i <= PATCHERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PATCHERS; i++)
        munmap(regions[i].code, 2 * PAGE);
}

/*
 * Without a handshake, as run-time systems patch calls: an aligned word inside of one cache line. The other thread runs the old or the
 * new code, never a mixture, never the old again after the new, and in the end the new.
 */
static unsigned char *live;
static atomic_int started;

static void *live_runner(void *argument)
{
    uint32_t last = 0;
    int turns = 0;
    atomic_store(&started, 1);
    while (last != 2 * VERSIONS * 0x01010101u) {
        uint32_t value = call_at(live + 3);
        EXPECT(value % 0x01010101u == 0 && value >= last, "live immediate: %x after %x", value, last);
        last = value;
        if (++turns % 256 == 0)
            sched_yield();
    }
    (void)argument;
    return NULL;
}

/* pause; jmp back to it, until the two bytes of the jump become nops; %eax = 7. */
static void *spinner(void *argument)
{
    unsigned char *code = argument;
    atomic_store(&started, 1);
    return (void *)(long)call_at(code);
}

void check_jit_live(uint64_t seed)
{
    pthread_t thread;
    live = code_pages(1);
    put_return(live + 3, 0); /* the immediate is at 4, aligned */
    atomic_store(&started, 0);
    pthread_create(&thread, NULL, live_runner, NULL);
    wait_for(&started, 1);
    for (uint32_t i = 1; i <= 2 * VERSIONS; i++) {
        __atomic_store_n((uint32_t *)(live + 4), i * 0x01010101u, __ATOMIC_SEQ_CST);
        if (i % 16 == 0)
            sched_yield();
    }
    pthread_join(thread, NULL);

    for (int i = 0; i < 6; i++) {
        void *result;
        unsigned char *at = live + 64 * (1 + next_random(&seed) % 40);
        put(at, "\xf3\x90\xeb\xfc\x6a\x07\x58\xc3", 8);
        atomic_store(&started, 0);
        pthread_create(&thread, NULL, spinner, at);
        wait_for(&started, 1);
        for (int j = 0; j < 20; j++)
            sched_yield();
        __atomic_store_n((uint16_t *)(at + 2), 0x9090, __ATOMIC_SEQ_CST);
        pthread_join(thread, &result);
        EXPECT(result == (void *)7, "the spinning block ended with %p", result);
    }
    munmap(live, PAGE);
}
