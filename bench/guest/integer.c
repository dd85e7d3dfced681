/* Integer code without system calls: arithmetic, calls, dependent table look-ups. */
#include "bench.h"

/* Adds, shifts, multiplications, a division now and then, and branches that depend on the data. */
uint64_t run_integer(unsigned long amount)
{
    uint64_t state = 88172645463325252ULL, sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (int i = 0; i < 100000; i++) {
            uint64_t x = next_random(&state);
            if (x & 0x30)
                sum += (x >> 7) ^ (sum << 3);
            else
                sum -= x % ((uint32_t)sum | 1);
        }
        sum = mix(sum, state);
    }
    return sum;
}

__attribute__((noinline)) static uint64_t fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* The ways to place n queens: recursion with a loop in each frame. */
__attribute__((noinline)) static unsigned queens(unsigned all, unsigned columns, unsigned left, unsigned right)
{
    if (columns == all)
        return 1;
    unsigned found = 0;
    for (unsigned free = all & ~(columns | left | right); free; free &= free - 1) {
        unsigned bit = free & -free;
        found += queens(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return found;
}

uint64_t run_recursion(unsigned long amount)
{
    uint64_t sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++)
        sum = mix(sum, fibonacci(22 + unit % 3) + queens(0xff, 0, 0, 0));
    return sum;
}

/* CRC-32 (ISO 3309, reflected) a byte at a time: each look-up's index needs the one before. */
uint64_t run_tables(unsigned long amount)
{
    static uint32_t table[256];
    static uint8_t data[128 << 10];
    uint64_t state = 1;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
        table[i] = value;
    }
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(next_random(&state) >> 56);
    start_clock();
    uint32_t crc = ~0u;
    for (unsigned long unit = 0; unit < amount; unit++)
        for (size_t i = 0; i < sizeof data; i++)
            crc = crc >> 8 ^ table[(uint8_t)(crc ^ data[i])];
    return ~crc;
}
