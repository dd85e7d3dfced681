/* Loads that wait for each other, and copies. */
#include "bench.h"
#include <emmintrin.h>
#include <string.h>

/* One cycle through 4 MiB in random order: most steps miss the first caches and a software TLB of 1024 entries. */
uint64_t run_chase(unsigned long amount)
{
    enum { COUNT = 4 << 20 >> 3 };
    static uint64_t next[COUNT];
    uint64_t state = 3;
    for (uint64_t i = 0; i < COUNT; i++)
        next[i] = i;
    for (uint64_t i = COUNT - 1; i > 0; i--) { /* Sattolo's algorithm: a single cycle */
        uint64_t j = next_random(&state) % i, swap = next[i];
        next[i] = next[j];
        next[j] = swap;
    }
    start_clock();
    uint64_t at = 0, sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (int i = 0; i < 200000; i++)
            at = next[at];
        sum = mix(sum, at);
    }
    return sum;
}

static uint8_t source[1 << 20] __attribute__((aligned(64))), target[1 << 20] __attribute__((aligned(64)));

static void fill_source(void)
{
    uint64_t state = 5;
    for (size_t i = 0; i < sizeof source; i += 8) {
        uint64_t value = next_random(&state);
        memcpy(source + i, &value, 8);
    }
}

static uint64_t sample(uint64_t sum)
{
    for (size_t i = 0; i < sizeof target; i += 4096 + 8) {
        uint64_t value;
        memcpy(&value, target + i, 8);
        sum = mix(sum, value);
    }
    return sum;
}

/* The C library's functions as programs use them: blocks of 24 bytes to 256 KiB, aligned and not. */
uint64_t run_copy(unsigned long amount)
{
    static const size_t sizes[] = { 24, 100, 512, 4096, 65536, 262144 };
    uint64_t sum = MIX_START;
    fill_source();
    start_clock();
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (size_t kind = 0; kind < sizeof sizes / sizeof *sizes; kind++) {
            size_t size = sizes[kind];
            size_t times = size < 4096 ? 4000 : (4 << 20) / size;
            for (size_t i = 0; i < times; i++) {
                size_t at = (i * 4099 + unit) % (sizeof target - size);
                memcpy(target + at, source + (at ^ 8) % (sizeof source - size), size);
                if (i % 4 == 0)
                    memset(target + at / 2, (int)i, size);
            }
        }
        sum = sample(sum);
    }
    return sum;
}

/* The same in code that is the same on every CPU: loops of 8 and of 16 bytes at a time over 64 KiB. */
uint64_t run_copy_loop(unsigned long amount)
{
    enum { BYTES = 64 << 10 };
    uint64_t sum = MIX_START;
    fill_source();
    start_clock();
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (size_t block = 0; block < sizeof source; block += BYTES) {
            const volatile uint64_t *from = (const uint64_t *)(source + block); /* volatile: or it becomes memcpy */
            uint64_t *to = (uint64_t *)(target + block);
            for (size_t i = 0; i < BYTES / 8; i++)
                to[i] = from[i];
            const __m128i *from16 = (const __m128i *)(source + sizeof source - BYTES - block);
            __m128i *to16 = (__m128i *)(target + block);
            __m128i add = _mm_set1_epi32((int)unit);
            for (size_t i = 0; i < BYTES / 16; i++)
                _mm_store_si128(to16 + i, _mm_add_epi32(_mm_load_si128(from16 + i), add));
        }
        sum = sample(sum);
    }
    return sum;
}
