/* Threads: locks, atomics, the memory order of x86, futexes, one clock for all. */
#include "stress.h"
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, TURNS = 5000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long plain, turn;
static atomic_long added, exchanged;
static unsigned __int128 pair __attribute__((aligned(16)));
static __thread long own;

static void join_all(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++) {
        void *result;
        EXPECT(!pthread_join(threads[i], &result) && result == NULL, "thread %d", i);
    }
}

static void start_all(pthread_t *threads, int count, void *(*run)(void *))
{
    for (long i = 0; i < count; i++)
        EXPECT(!pthread_create(&threads[i], NULL, run, (void *)i), "pthread_create");
}

/* Adds 1 to each half of a 16-byte number at once. */
static void add_pair(void)
{
    uint64_t low = (uint64_t)pair, high = (uint64_t)(pair >> 64);
    unsigned char done;
    do {
        __asm__ volatile("lock cmpxchg16b %0\n sete %1" : "+m"(pair), "=q"(done), "+a"(low), "+d"(high)
            : "b"(low + 1), "c"(high + 1) : "cc", "memory");
    } while (!done);
}

static void *worker(void *argument)
{
    long number = (long)argument;
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
        atomic_fetch_add(&added, number + 1);
        long before = atomic_load(&exchanged);
        while (!atomic_compare_exchange_weak(&exchanged, &before, before ^ (number << 8 | i)))
            ;
        add_pair();
        own += number;
    }
    EXPECT(own == number * TURNS, "thread-local number of thread %ld is %ld", number, own);

    /* In turns, by a condition variable. */
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != number)
            pthread_cond_wait(&condition, &mutex);
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

/* Message passing: x86 shows a thread the stores of another in their order (SDM 3A 9.2.2). */
static volatile long message, flag;

static void *sender(void *argument)
{
    for (long i = 1; i <= 20000; i++) {
        message = i;
        __asm__ volatile("" ::: "memory");
        flag = i;
    }
    return argument;
}

static void *receiver(void *argument)
{
    long last = 0;
    while (last < 20000) {
        long seen = flag;
        __asm__ volatile("" ::: "memory");
        long data = message;
        EXPECT(data >= seen && seen >= last, "flag %ld, message %ld, before %ld", seen, data, last);
        if (seen == last)
            sched_yield();
        last = seen;
    }
    (void)argument;
    return NULL;
}

/* Store buffering with a full barrier between: one of the two must see the other (SDM 3A 9.2.3.4). */
static volatile long left, right;
static long results[2];

static void *store_buffer(void *argument)
{
    long number = (long)argument;
    for (int i = 0; i < 300; i++) {
        pthread_barrier_wait(&barrier);
        if (number == 0) {
            left = 1;
            __asm__ volatile("mfence" ::: "memory");
            results[0] = right;
        } else {
            right = 1;
            __asm__ volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
            results[1] = left;
        }
        pthread_barrier_wait(&barrier);
        if (number == 0) {
            EXPECT(results[0] || results[1], "both stores were passed by the loads");
            left = right = 0;
        }
    }
    return NULL;
}

void check_threads(uint64_t seed)
{
    pthread_t threads[THREADS];
    plain = turn = 0;
    pair = 0;
    atomic_store(&added, 0);
    atomic_store(&exchanged, 0);
    start_all(threads, THREADS, worker);
    join_all(threads, THREADS);
    EXPECT(plain == THREADS * TURNS, "mutex: %ld", plain);
    EXPECT(added == (long)TURNS * THREADS * (THREADS + 1) / 2, "lock xadd: %ld", added);
    EXPECT((uint64_t)pair == THREADS * TURNS && (uint64_t)(pair >> 64) == THREADS * TURNS, "cmpxchg16b: %lu", (uint64_t)pair);
    EXPECT(turn == 50 * THREADS, "turns: %ld", turn);
    long all = 0;
    for (long n = 0; n < THREADS; n++)
        for (long i = 0; i < TURNS; i++)
            all ^= n << 8 | i;
    EXPECT(exchanged == all, "cmpxchg: %lx, not %lx", exchanged, all);

    message = flag = 0;
    pthread_create(&threads[0], NULL, receiver, NULL);
    pthread_create(&threads[1], NULL, sender, NULL);
    join_all(threads, 2);

    left = right = 0;
    pthread_barrier_init(&barrier, NULL, 2);
    start_all(threads, 2, store_buffer);
    join_all(threads, 2);
    pthread_barrier_destroy(&barrier);
    (void)seed;
}

static atomic_int word, requeued, awake;

static long futex(atomic_int *at, int operation, int value, const struct timespec *timeout, atomic_int *other, int compare)
{
    return syscall(SYS_futex, at, operation, value, timeout, other, compare);
}

/* Two threads hand a number to each other: each waits while it is not its own parity. */
static void *ping_pong(void *argument)
{
    int parity = (long)argument;
    for (;;) {
        int value = atomic_load(&word);
        if (value >= 2000)
            return NULL;
        if ((value & 1) == parity) {
            EXPECT(atomic_compare_exchange_strong(&word, &value, value + 1), "two threads had the word");
            futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        } else {
            futex(&word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
        }
    }
}

static void *sleeper(void *argument)
{
    while (atomic_load(&requeued) == 0)
        futex(&requeued, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_fetch_add(&awake, 1);
    (void)argument;
    return NULL;
}

void check_futex(uint64_t seed)
{
    pthread_t threads[THREADS];
    atomic_store(&word, 0);
    start_all(threads, 2, ping_pong);
    join_all(threads, 2);
    EXPECT(word == 2000, "ping-pong ended at %d", word);

    atomic_store(&word, 1);
    EXPECT(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EAGAIN, "a wait on another value");
    struct timespec timeout = { 0, 2000000 }, start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    EXPECT(futex(&word, FUTEX_WAIT_PRIVATE, 1, &timeout, NULL, 0) == -1 && errno == ETIMEDOUT, "a wait that ends: %s", strerror(errno));
    clock_gettime(CLOCK_MONOTONIC, &end);
    EXPECT((end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec >= 2000000, "a wait ended early");

    /* Sleepers moved from one futex to another and woken there. */
    atomic_store(&requeued, 0);
    atomic_store(&awake, 0);
    start_all(threads, THREADS, sleeper);
    while (atomic_load(&awake) < THREADS) {
        futex(&requeued, FUTEX_REQUEUE_PRIVATE, 0, (void *)(long)THREADS, &word, 0);
        atomic_store(&requeued, 1);
        futex(&word, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
        futex(&requeued, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
        sched_yield();
    }
    join_all(threads, THREADS);
    (void)seed;
}

static atomic_long latest;

static void *clock_watcher(void *argument)
{
    for (int i = 0; i < 3000; i++) {
        struct timespec time;
        long before = atomic_load(&latest);
        clock_gettime(CLOCK_MONOTONIC, &time);
        long now = time.tv_sec * 1000000000L + time.tv_nsec;
        EXPECT(now >= before, "the clock went back by %ld ns between threads", before - now);
        while (before < now && !atomic_compare_exchange_weak(&latest, &before, now))
            ;
    }
    (void)argument;
    return NULL;
}

void check_clock(uint64_t seed)
{
    pthread_t threads[THREADS];
    atomic_store(&latest, 0);
    start_all(threads, THREADS, clock_watcher);
    join_all(threads, THREADS);

    /* The vDSO's clock and the system call's are one. */
    for (int i = 0; i < 500; i++) {
        struct timespec a, b, c;
        clock_gettime(CLOCK_MONOTONIC, &a);
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b);
        clock_gettime(CLOCK_MONOTONIC, &c);
        long first = a.tv_sec * 1000000000L + a.tv_nsec, second = b.tv_sec * 1000000000L + b.tv_nsec, third = c.tv_sec * 1000000000L + c.tv_nsec;
        EXPECT(first <= second && second <= third, "vDSO and system call: %ld, %ld, %ld", first, second, third);
    }
    (void)seed;
}
