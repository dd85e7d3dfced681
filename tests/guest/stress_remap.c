/* Mappings that change while other threads execute in them. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RUNNERS = 3, VERSIONS = 64, PLACES = 5 };

static unsigned char *spot, *aside;
static int file;

/* Versions that a run which begins now may show: from the one that was mapped last to the one that is about to be. */
static atomic_int oldest, newest;

/* Odd while the spot may be without code. */
static atomic_int window;
static atomic_int stop, runs, faults;

/* Offsets in the page where the code of a version is: also at its end, reaching into the second page. */
static const int places[PLACES] = { 0, 64, 1000, 2048, PAGE - 3 };

static void *map_version(int version, unsigned char *at, int protection)
{
    return mmap(at, 2 * PAGE, protection, MAP_SHARED | MAP_FIXED, file, (long)version * 2 * PAGE);
}

static void *runner(void *argument)
{
    uint64_t seed = (uint64_t)argument | 1;
    catch_begin_thread();
    while (!atomic_load(&stop)) {
        int place = next_random(&seed) % PLACES;
        volatile int before_window = atomic_load(&window), least = atomic_load(&oldest);
        volatile uint32_t result = 0;
        CATCH(result = call_at(spot + places[place]));
        int most = atomic_load(&newest), after_window = atomic_load(&window);
        if (caught.count) {
            EXPECT(before_window != after_window || (before_window & 1), "signal %d at %lx (address %lx) while the code is mapped, place %d", caught.signal, CAUGHT(RIP),
                caught.address, place);
            EXPECT(caught.signal == SIGSEGV && (caught.address & ~0x1fffUL) == ((uint64_t)spot & ~0x1fffUL), "signal %d, address %lx", caught.signal,
                caught.address);
            atomic_fetch_add(&faults, 1);
            sched_yield();
        } else {
            int version = result / 16;
            EXPECT(result % 16 == (uint32_t)place && version >= least && version <= most, "place %d gave %x; versions %d to %d", place, result, least, most);
            if (atomic_fetch_add(&runs, 1) % 64 == 0)
                sched_yield();
        }
    }
    catch_end_thread();
    return NULL;
}

/* Whether the spot's code can be run, by trying; then its version. */
static int version_now(const unsigned char *at)
{
    volatile uint32_t result = 0;
    CATCH(result = call_at(at + places[4]));
    return caught.count ? -1 : (int)(result / 16);
}

static void change(int kind, int version)
{
    atomic_store(&newest, version);
    switch (kind) {
    case 0: /* over it, in one step */
        EXPECT(map_version(version, spot, PROT_READ | PROT_EXEC) == spot, "mmap over code: %s", strerror(errno));
        break;
    case 1: /* away, and anew */
        atomic_fetch_add(&window, 1);
        munmap(spot, 2 * PAGE);
        EXPECT(version_now(spot) == -1, "unmapped code runs");
        EXPECT(map_version(version, spot, PROT_READ | PROT_EXEC) == spot, "mmap: %s", strerror(errno));
        atomic_fetch_add(&window, 1);
        break;
    case 2: /* not executable for a while, then other code */
        atomic_fetch_add(&window, 1);
        mprotect(spot, 2 * PAGE, PROT_READ);
        EXPECT(version_now(spot) == -1, "code without permission runs");
        EXPECT(map_version(version, spot, PROT_NONE) == spot, "mmap: %s", strerror(errno));
        mprotect(spot, 2 * PAGE, PROT_READ | PROT_EXEC);
        atomic_fetch_add(&window, 1);
        break;
    case 3: /* moved aside, where it still is the old; other code moved in */
        atomic_fetch_add(&window, 1);
        EXPECT(mremap(spot, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, aside) == aside, "mremap: %s", strerror(errno));
        EXPECT(version_now(spot) == -1 && version_now(aside) == version - 1, "code moved away: %d and %d", version_now(spot), version_now(aside));
        EXPECT(map_version(version, aside, PROT_READ | PROT_EXEC) == aside, "mmap: %s", strerror(errno));
        EXPECT(mremap(aside, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spot) == spot, "mremap back: %s", strerror(errno));
        EXPECT(version_now(aside) == -1, "code is still where it was moved from");
        atomic_fetch_add(&window, 1);
        break;
    default: /* a private copy of the page, made by a write */
        atomic_fetch_add(&window, 1);
        EXPECT(mmap(spot, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, (long)version * 2 * PAGE) == spot, "mmap: %s", strerror(errno));
        spot[PAGE / 2 + 900] = 1;
        mprotect(spot, 2 * PAGE, PROT_READ | PROT_EXEC);
        atomic_fetch_add(&window, 1);
        break;
    }
    EXPECT(version_now(spot) == version, "version %d is %d after change %d", version, version_now(spot), kind);
    atomic_store(&oldest, version);
}

/* A thread in an endless loop of two instructions; the page under it becomes one that returns. */
static atomic_int looping;

static void *loop_runner(void *argument)
{
    atomic_store(&looping, 1);
    return (void *)(long)call_at((unsigned char *)argument);
}

static void check_loop(uint64_t *seed)
{
    enum { LOOP = 512 };
    pthread_t thread;
    void *result;
    unsigned char *code = code_pages(1), *other = code_pages(1);
    int offset = next_random(seed) % 3000;
    put(code + offset, "\xf3\x90\xeb\xfc", 4); /* 1: pause; jmp 1b */
    memset(other, 0x90, PAGE);
    put_return(other + offset + LOOP, 77);
    mprotect(other, PAGE, PROT_READ | PROT_EXEC);
    atomic_store(&looping, 0);
    pthread_create(&thread, NULL, loop_runner, code + offset);
    while (!atomic_load(&looping))
        sched_yield();
    for (int i = 0; i < 10; i++)
        sched_yield();
    EXPECT(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code) == code, "mremap: %s", strerror(errno));
    pthread_join(thread, &result);
    EXPECT(result == (void *)77, "the loop ended with %p", result);
    munmap(code, PAGE);
}

void check_remap(uint64_t seed)
{
    file = memfd_create("versions", 0);
    EXPECT(file >= 0 && ftruncate(file, VERSIONS * 2L * PAGE) == 0, "memfd: %s", strerror(errno));
    unsigned char *all = mmap(NULL, VERSIONS * 2L * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT(all != MAP_FAILED, "mmap of a file");
    for (int version = 0; version < VERSIONS; version++)
        for (int place = 0; place < PLACES; place++)
            put_return(all + version * 2L * PAGE + places[place], version * 16 + place);
    munmap(all, VERSIONS * 2L * PAGE);

    unsigned char *room = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    spot = (unsigned char *)(((uint64_t)room + 0x1fff) & ~0x1fffUL);
    aside = spot + 8 * PAGE;
    catch_begin();
    atomic_store(&oldest, 0);
    atomic_store(&newest, 0);
    atomic_store(&window, 0);
    atomic_store(&stop, 0);
    map_version(0, spot, PROT_READ | PROT_EXEC);
    pthread_t threads[RUNNERS];
    for (long i = 0; i < RUNNERS; i++)
        EXPECT(!pthread_create(&threads[i], NULL, runner, (void *)(seed + 2 * i)), "pthread_create");
    for (int version = 1; version < VERSIONS; version++) {
        /* The others have to run between two changes. */
        int before = atomic_load(&runs);
        while (atomic_load(&runs) - before < 20)
            sched_yield();
        change(next_random(&seed) % 5, version);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    munmap(room, 16 * PAGE);
    close(file);
    for (int i = 0; i < 5; i++)
        check_loop(&seed);
    catch_end();
}
