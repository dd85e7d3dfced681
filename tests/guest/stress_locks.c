/* Every locked instruction on counters that several threads share: aligned, misaligned, and across two pages. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum { THREADS = 4 };

/* One counter per form, each in a slot of its own so that it can straddle a page boundary. */
enum {
    ADD, SUB, INC, DEC, ADC, SBB, AND, OR, XOR, NOT, NEG, BTS, BTR, BTC, XADD, XCHG, CMPXCHG, FORMS
};

static unsigned char *slots[4][FORMS]; /* by size */
static uint64_t *pairs, xadd_sum[THREADS], exchanged[THREADS];
static unsigned char *pair8;
static int turns, guarded;
static unsigned char *guard;

/* The forms of one operand size; `number` is the thread, `bit` its own bit. */
#define HAMMER(bits, type, suffix, constraint) \
    static void hammer##bits(unsigned char **slot, int number, uint64_t *sum, uint64_t *swapped) \
    { \
        type one = 1, bit = (type)1 << number, mine = 0, back; \
        for (int i = 0; i < turns; i++) { \
            __asm__ volatile("lock add" suffix " %1, (%0)" : : "r"(slot[ADD]), constraint(one) : "memory", "cc"); \
            __asm__ volatile("lock sub" suffix " $3, (%0)" : : "r"(slot[SUB]) : "memory", "cc"); \
            __asm__ volatile("lock inc" suffix " (%0)" : : "r"(slot[INC]) : "memory", "cc"); \
            __asm__ volatile("lock dec" suffix " (%0)" : : "r"(slot[DEC]) : "memory", "cc"); \
            __asm__ volatile("stc\n lock adc" suffix " $1, (%0)" : : "r"(slot[ADC]) : "memory", "cc"); \
            __asm__ volatile("stc\n lock sbb" suffix " $1, (%0)" : : "r"(slot[SBB]) : "memory", "cc"); \
            __asm__ volatile("lock or" suffix " %1, (%0)" : : "r"(slot[OR]), constraint(bit) : "memory", "cc"); \
            back = ~bit; \
            __asm__ volatile("lock and" suffix " %1, (%0)" : : "r"(slot[AND]), constraint(back) : "memory", "cc"); \
            __asm__ volatile("lock xor" suffix " %1, (%0)" : : "r"(slot[XOR]), constraint(bit) : "memory", "cc"); \
            __asm__ volatile("lock not" suffix " (%0)" : : "r"(slot[NOT]) : "memory", "cc"); \
            __asm__ volatile("lock neg" suffix " (%0)" : : "r"(slot[NEG]) : "memory", "cc"); \
            back = 1; \
            __asm__ volatile("lock xadd" suffix " %0, (%1)" : "+" constraint(back) : "r"(slot[XADD]) : "memory", "cc"); \
            *sum += back; \
            back = (type)(number * 16 + i % 16 + 1); \
            __asm__ volatile("xchg" suffix " %0, (%1)" : "+" constraint(back) : "r"(slot[XCHG]) : "memory"); \
            *swapped += back; \
            *swapped -= (type)(number * 16 + i % 16 + 1); \
            unsigned char done; \
            memcpy(&mine, slot[CMPXCHG], sizeof mine); \
            do { \
                type next = mine + 5; \
                __asm__ volatile("lock cmpxchg" suffix " %3, (%2)\n sete %1" : "+a"(mine), "=q"(done) : "r"(slot[CMPXCHG]), constraint(next) : "memory", "cc"); \
            } while (!done); \
        } \
    }
HAMMER(8, uint8_t, "b", "q")
HAMMER(16, uint16_t, "w", "r")
HAMMER(32, uint32_t, "l", "r")
HAMMER(64, uint64_t, "q", "r")

/* Each thread owns a bit; what the instruction says of it must be what this thread left there. */
#define BITS(bits, type, suffix) \
    static void hammer_bits##bits(unsigned char **slot, int number) \
    { \
        type own = number * (bits / 8) + 1; \
        for (int i = 0; i < turns; i++) { \
            unsigned char before; \
            __asm__ volatile("lock bts" suffix " %2, (%1)\n setc %0" : "=q"(before) : "r"(slot[BTS]), "r"(own) : "memory", "cc"); \
            EXPECT(before == (i > 0), "bts" suffix ": bit %d was %d at turn %d", (int)own, before, i); \
            __asm__ volatile("lock btr" suffix " %2, (%1)\n setc %0" : "=q"(before) : "r"(slot[BTR]), "r"(own) : "memory", "cc"); \
            EXPECT(before == (i == 0), "btr" suffix ": bit %d was %d at turn %d", (int)own, before, i); \
            __asm__ volatile("lock btc" suffix " %2, (%1)\n setc %0" : "=q"(before) : "r"(slot[BTC]), "r"(own) : "memory", "cc"); \
            EXPECT(before == (i & 1), "btc" suffix ": bit %d was %d at turn %d", (int)own, before, i); \
        } \
    }
BITS(16, uint16_t, "w")
BITS(32, uint32_t, "l")
BITS(64, uint64_t, "q")

static void hammer_pairs(void)
{
    for (int i = 0; i < turns; i++) {
        uint64_t low = pairs[0], high = pairs[1];
        unsigned char done;
        do {
            __asm__ volatile("lock cmpxchg16b (%4)\n sete %0" : "=q"(done), "+a"(low), "+d"(high) : "b"(low + 1), "r"(pairs), "c"(high - 1) : "memory", "cc");
        } while (!done);
        uint32_t low4, high4;
        memcpy(&low4, pair8, 4);
        memcpy(&high4, pair8 + 4, 4);
        do {
            __asm__ volatile("lock cmpxchg8b (%4)\n sete %0" : "=q"(done), "+a"(low4), "+d"(high4) : "b"(low4 + 3), "r"(pair8), "c"(high4 + 7) : "memory", "cc");
        } while (!done);

        /* A lock made of the byte exchange that needs no prefix. */
        unsigned char taken = 1;
        for (;;) {
            __asm__ volatile("xchgb %0, (%1)" : "+q"(taken) : "r"(guard) : "memory");
            if (!taken)
                break;
            taken = 1;
            sched_yield();
        }
        guarded++;
        __asm__ volatile("movb $0, (%0)" : : "r"(guard) : "memory");
    }
}

static void *hammer(void *argument)
{
    int number = (long)argument;
    uint64_t sum[4] = { 0 };
    uint64_t swapped[4] = { 0 };
    hammer8(slots[0], number, &sum[0], &swapped[0]);
    hammer16(slots[1], number, &sum[1], &swapped[1]);
    hammer32(slots[2], number, &sum[2], &swapped[2]);
    hammer64(slots[3], number, &sum[3], &swapped[3]);
    hammer_bits16(slots[1], number);
    hammer_bits32(slots[2], number);
    hammer_bits64(slots[3], number);
    hammer_pairs();
    xadd_sum[number] = sum[3];
    exchanged[number] = swapped[3];
    return NULL;
}

static uint64_t value_at(int size, int form)
{
    uint64_t value = 0;
    memcpy(&value, slots[size][form], 1 << size);
    return value;
}

static void check_results(const char *where)
{
    uint64_t all = (uint64_t)turns * THREADS;
    for (int size = 0; size < 4; size++) {
        uint64_t mask = size == 3 ? ~0UL : (1UL << (8 << size)) - 1;
        struct { int form; uint64_t right; const char *name; } expected[] = {
            { ADD, all, "add" }, { SUB, -3 * all, "sub" }, { INC, all, "inc" }, { DEC, -all, "dec" }, { ADC, 2 * all, "adc" }, { SBB, -2 * all, "sbb" },
            { OR, (1 << THREADS) - 1, "or" }, { AND, ~((1UL << THREADS) - 1), "and" }, { XOR, turns & 1 ? (1 << THREADS) - 1 : 0, "xor" },
            { NOT, all & 1 ? ~0UL : 0, "not" }, { NEG, all & 1 ? -41UL : 41, "neg" }, { XADD, all, "xadd" }, { CMPXCHG, 5 * all, "cmpxchg" },
        };
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
            EXPECT(value_at(size, expected[i].form) == (expected[i].right & mask), "%s, %d bytes, lock %s: %lx, not %lx", where, 1 << size, expected[i].name,
                value_at(size, expected[i].form), expected[i].right & mask);
    }
    uint64_t sum = 0, swapped = value_at(3, XCHG);
    for (int i = 0; i < THREADS; i++) {
        sum += xadd_sum[i];
        swapped += exchanged[i];
    }
    EXPECT(sum == all * (all - 1) / 2, "%s: xadd gave the same number twice: %lu, not %lu", where, sum, all * (all - 1) / 2);
    EXPECT(swapped == 0, "%s: xchg lost a value: %lx", where, swapped);
    EXPECT(pairs[0] == all && pairs[1] == -all, "%s: cmpxchg16b: %lx %lx", where, pairs[0], pairs[1]);
    uint64_t eight;
    memcpy(&eight, pair8, 8);
    EXPECT(eight == ((7 * all) << 32 | 3 * all), "%s: cmpxchg8b: %lx", where, eight);
    EXPECT((uint64_t)guarded == all, "%s: xchg as a lock: %d, not %lu", where, guarded, all);
}

enum { STRAIGHT, MISALIGNED, SPLIT };

static void hammer_once(unsigned char *area, int how, int count, const char *name)
{
    enum { SLOTS = 4 * FORMS };
    memset(area, 0, (SLOTS + 2) * PAGE);
    for (int size = 0; size < 4; size++)
        for (int form = 0; form < FORMS; form++) {
            unsigned char *place = area + (1 + size * FORMS + form) * PAGE;
            place += (how == SPLIT ? 0 : 64) - (how == STRAIGHT ? 0 : (1 << size) / 2); /* misaligned: across two cache lines */
            slots[size][form] = place;
        }
    pair8 = area + (SLOTS + 1) * PAGE - (how == STRAIGHT ? 2048 : how == MISALIGNED ? 2045 : 5);
    pairs = (uint64_t *)(area + 512);
    guard = area + 700;
    for (int size = 0; size < 4; size++) {
        memset(slots[size][AND], 0xff, 1 << size);
        memset(slots[size][BTR], 0xff, 1 << size);
        *slots[size][NEG] = 41;
    }
    guarded = 0;
    turns = count;
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        EXPECT(!pthread_create(&threads[i], NULL, hammer, (void *)i), "pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_results(name);
}

void check_locks(uint64_t seed)
{
    size_t size = (4 * FORMS + 2) * PAGE;
    unsigned char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED, "mmap: %s", strerror(errno));
    hammer_once(area, STRAIGHT, 1000 + next_random(&seed) % 100, "aligned");
    hammer_once(area, MISALIGNED, 150 + next_random(&seed) % 10, "misaligned");
    hammer_once(area, SPLIT, 60 + next_random(&seed) % 10, "across pages");
    munmap(area, size);
}
