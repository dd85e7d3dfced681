/* The deterministic stream, and sums over it that were worked out elsewhere. */
#include "stress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Byte n depends on nothing but n, in blocks of 4096: text, noise, zeroes, a counter. */
void stream_fill(struct stream *stream, unsigned char *buffer, size_t size)
{
    static const char words[] = "the guest ran a while and came back with the sum it was asked for ";
    for (size_t i = 0; i < size; i++) {
        uint64_t position = stream->position++;
        switch ((position >> 12) & 3) {
        case 0:
            buffer[i] = words[position % (sizeof words - 1)];
            break;
        case 1:
            buffer[i] = next_random(&stream->state) >> 56;
            break;
        case 2:
            buffer[i] = 0;
            break;
        default:
            buffer[i] = position >> 3;
            break;
        }
    }
}

/* Of the first MiB, by zlib. */
#define STREAM_CRC 0x55273ff5u
#define STREAM_ADLER 0xec53a2a2u

static uint32_t crc32(uint32_t crc, const unsigned char *bytes, size_t size)
{
    static uint32_t table[256];
    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
            table[i] = value;
        }
    }
    crc = ~crc;
    while (size--)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return ~crc;
}

void check_checksums(uint64_t seed)
{
    enum { SIZE = 1 << 20 };
    unsigned char *data = malloc(SIZE), *copy = malloc(SIZE + 64);
    EXPECT(data && copy, "malloc");
    struct stream stream = { 1, 0 };
    stream_fill(&stream, data, SIZE);
    EXPECT(crc32(0, data, SIZE) == STREAM_CRC, "CRC-32 of the stream is %08x, not %08x", crc32(0, data, SIZE), STREAM_CRC);
    uint32_t adler_a = 1, adler_b = 0;
    for (int i = 0; i < SIZE; i++) {
        adler_a = (adler_a + data[i]) % 65521;
        adler_b = (adler_b + adler_a) % 65521;
    }
    EXPECT((adler_b << 16 | adler_a) == STREAM_ADLER, "Adler-32 of the stream is %08x, not %08x", adler_b << 16 | adler_a, STREAM_ADLER);

    /* Copies of every alignment and direction, by the C library and by string instructions. */
    for (int i = 0; i < 200; i++) {
        size_t from = next_random(&seed) % (SIZE / 2), to = next_random(&seed) % 64, size = next_random(&seed) % 5000;
        uint64_t sum = fnv(data + from, size);
        memcpy(copy + to, data + from, size);
        EXPECT(fnv(copy + to, size) == sum, "memcpy of %zu bytes from %zu to %zu", size, from, to);
        memmove(copy + to + 7, copy + to, size);
        EXPECT(fnv(copy + to + 7, size) == sum, "memmove up of %zu bytes", size);
        memmove(copy + to, copy + to + 7, size);
        EXPECT(fnv(copy + to, size) == sum, "memmove down of %zu bytes", size);
        void *target = copy, *source = data + from;
        size_t count = size;
        __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
        EXPECT(fnv(copy, size) == sum && count == 0 && target == copy + size, "rep movsb of %zu bytes", size);
        if (size == 0)
            continue;
        target = copy + 100 + size - 1;
        source = data + from + size - 1;
        count = size;
        __asm__ volatile("std\n rep movsb\n cld" : "+D"(target), "+S"(source), "+c"(count) : : "memory", "cc");
        EXPECT(fnv(copy + 100, size) == sum && target == copy + 99, "rep movsb downwards of %zu bytes", size);
    }

    /* 64- and 128-bit arithmetic against identities. */
    for (int i = 0; i < 20000; i++) {
        uint64_t a = next_random(&seed), b = next_random(&seed) >> (i & 63) | 1;
        EXPECT(a / b * b + a % b == a, "%lu / %lu", a, b);
        unsigned __int128 product = (unsigned __int128)a * b;
        EXPECT((uint64_t)(product / b) == a, "128-bit product of %lu and %lu", a, b);
        int shift = i & 63;
        EXPECT(shift == 0 || (a << shift | a >> (64 - shift)) == (a >> (64 - shift)) + (a << shift), "shift of %lx by %d", a, shift);
        EXPECT(__builtin_bswap64(__builtin_bswap64(a)) == a, "bswap of %lx", a);
        EXPECT(__builtin_ctzl(b) == __builtin_popcountl((b & -b) - 1), "bits of %lx", b);
    }
    free(data);
    free(copy);
}
