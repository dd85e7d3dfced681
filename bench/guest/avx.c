/* Single-precision floating point with AVX2 and FMA; this file alone is compiled for them (see main for CPUs without). */
#include "bench.h"
#include <immintrin.h>
#include <string.h>

#define SIZE 96

static float left[SIZE][SIZE] __attribute__((aligned(32))), right[SIZE][SIZE] __attribute__((aligned(32))),
    product[SIZE][SIZE] __attribute__((aligned(32)));

static void multiply(void)
{
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j += 16) {
            __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
            for (int k = 0; k < SIZE; k++) {
                __m256 factor = _mm256_broadcast_ss(&left[i][k]);
                low = _mm256_fmadd_ps(factor, _mm256_load_ps(&right[k][j]), low);
                high = _mm256_fmadd_ps(factor, _mm256_load_ps(&right[k][j + 8]), high);
            }
            _mm256_store_ps(&product[i][j], low);
            _mm256_store_ps(&product[i][j + 8], high);
        }
    }
}

/* Mandelbrot's iteration, eight points at once: no memory at all in the loop. */
static uint64_t mandelbrot(float imaginary)
{
    __m256i steps = _mm256_setzero_si256();
    __m256 x0 = _mm256_add_ps(_mm256_set1_ps(-0.8f), _mm256_mul_ps(_mm256_set_ps(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_ps(0.05f)));
    __m256 y0 = _mm256_set1_ps(imaginary), x = _mm256_setzero_ps(), y = _mm256_setzero_ps();
    for (int i = 0; i < 200; i++) {
        __m256 xx = _mm256_mul_ps(x, x), yy = _mm256_mul_ps(y, y), xy = _mm256_mul_ps(x, y);
        __m256 inside = _mm256_cmp_ps(_mm256_add_ps(xx, yy), _mm256_set1_ps(4), _CMP_LT_OQ);
        if (_mm256_testz_ps(inside, inside))
            break;
        steps = _mm256_sub_epi32(steps, _mm256_castps_si256(inside));
        x = _mm256_add_ps(_mm256_sub_ps(xx, yy), x0);
        y = _mm256_add_ps(_mm256_add_ps(xy, xy), y0);
    }
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, steps);
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum = sum * 257 + lanes[i];
    return sum;
}

uint64_t run_avx(unsigned long amount)
{
    uint64_t state = 11, sum = MIX_START;
    for (int i = 0; i < SIZE * SIZE; i++) {
        (&left[0][0])[i] = (float)(int64_t)next_random(&state) * 0x1p-62f;
        (&right[0][0])[i] = (float)(int64_t)next_random(&state) * 0x1p-62f;
    }
    start_clock();
    for (unsigned long unit = 0; unit < amount; unit++) {
        for (int i = 0; i < 8; i++) {
            multiply();
            left[unit % SIZE][i] = product[i][unit % SIZE] * 0.01f;
        }
        for (int i = 0; i < 400; i++)
            sum = mix(sum, mandelbrot(0.001f * (float)i));
        uint32_t bits;
        memcpy(&bits, &product[unit % SIZE][5], 4);
        sum = mix(sum, bits);
    }
    return sum;
}
