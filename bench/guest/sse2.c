/* Double-precision floating point with SSE2: a matrix product two lanes at a time, and scalar code with divisions and square roots. */
#include "bench.h"
#include <emmintrin.h>
#include <string.h>

#define SIZE 64

static double left[SIZE][SIZE] __attribute__((aligned(16))), right[SIZE][SIZE] __attribute__((aligned(16))),
    product[SIZE][SIZE] __attribute__((aligned(16)));

static void multiply(void)
{
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j += 4) {
            __m128d low = _mm_setzero_pd(), high = _mm_setzero_pd();
            for (int k = 0; k < SIZE; k++) {
                __m128d factor = _mm_set1_pd(left[i][k]);
                low = _mm_add_pd(low, _mm_mul_pd(factor, _mm_load_pd(&right[k][j])));
                high = _mm_add_pd(high, _mm_mul_pd(factor, _mm_load_pd(&right[k][j + 2])));
            }
            _mm_store_pd(&product[i][j], low);
            _mm_store_pd(&product[i][j + 2], high);
        }
    }
}

static double square_root(double value)
{
    __m128d x = _mm_set_sd(value);
    return _mm_cvtsd_f64(_mm_sqrt_sd(x, x)); /* not sqrt(): no errno, no library */
}

/* Bodies that attract each other: loads, multiplications, a division and a root for each pair. */
static void step_bodies(double (*bodies)[6], int count)
{
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            double x = bodies[j][0] - bodies[i][0], y = bodies[j][1] - bodies[i][1], z = bodies[j][2] - bodies[i][2];
            double square = x * x + y * y + z * z + 0.01;
            double pull = 0.001 / (square * square_root(square));
            bodies[i][3] += x * pull;
            bodies[i][4] += y * pull;
            bodies[i][5] += z * pull;
        }
    }
    for (int i = 0; i < count; i++)
        for (int axis = 0; axis < 3; axis++)
            bodies[i][axis] += bodies[i][axis + 3] * 0.01;
}

uint64_t run_sse2(unsigned long amount)
{
    static double bodies[32][6];
    uint64_t state = 9, sum = MIX_START, bits;
    for (int i = 0; i < SIZE * SIZE; i++) {
        (&left[0][0])[i] = (double)(int64_t)next_random(&state) * 0x1p-62;
        (&right[0][0])[i] = (double)(int64_t)next_random(&state) * 0x1p-62;
    }
    for (int i = 0; i < 32; i++)
        for (int axis = 0; axis < 3; axis++)
            bodies[i][axis] = (double)(int64_t)next_random(&state) * 0x1p-62;
    start_clock();
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (int i = 0; i < 8; i++) {
            multiply();
            left[unit % SIZE][i] = product[i][unit % SIZE] * 0.01;
        }
        for (int i = 0; i < 40; i++)
            step_bodies(bodies, 32);
        memcpy(&bits, &product[unit % SIZE][5], 8);
        sum = mix(sum, bits);
        memcpy(&bits, &bodies[unit % 32][0], 8);
        sum = mix(sum, bits);
    }
    return sum;
}
