/* Sorting: the C library's qsort with a comparison through a pointer, and a heap sort in place. */
#include "bench.h"
#include <stdlib.h>

#define COUNT 16384

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void sift(uint32_t *heap, size_t root, size_t end)
{
    uint32_t value = heap[root];
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[root] = heap[child];
    }
    heap[root] = value;
}

static void heap_sort(uint32_t *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(heap, i, count);
    for (size_t end = count; --end > 0;) {
        uint32_t last = heap[end];
        heap[end] = heap[0];
        heap[0] = last;
        sift(heap, 0, end);
    }
}

uint64_t run_sort(unsigned long amount)
{
    static uint32_t values[COUNT];
    uint64_t state = 7, sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (size_t i = 0; i < COUNT; i++)
            values[i] = (uint32_t)(next_random(&state) >> 32);
        qsort(values, COUNT, sizeof *values, compare);
        for (size_t i = 0; i < COUNT; i += 64)
            sum = mix(sum, values[i]);
        for (size_t i = 0; i < COUNT; i++)
            values[i] = (uint32_t)(next_random(&state) >> 32);
        heap_sort(values, COUNT);
        for (size_t i = 0; i < COUNT; i += 64)
            sum = mix(sum, values[i]);
    }
    return sum;
}
