/* What the parts of the guest stress share. See stress.c. */
#ifndef SHINANO_STRESS_H
#define SHINANO_STRESS_H

#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

/* Ends the program with "STRESS FAIL <check>: <what>" when the condition does not hold. */
#define EXPECT(condition, ...) ((condition) ? (void)0 : stress_fail(__VA_ARGS__))

void stress_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* xorshift64*: the same numbers everywhere, from a seed that is not 0. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

static inline uint64_t fnv(const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    uint64_t hash = 0xcbf29ce484222325ULL;
    while (size--)
        hash = (hash ^ *byte++) * 0x100000001b3ULL;
    return hash;
}

/* stress_stream.c: fills a buffer with the next bytes of the deterministic stream (text, noise and runs). */
struct stream {
    uint64_t state;
    uint64_t position;
};
void stream_fill(struct stream *stream, unsigned char *buffer, size_t size);

/* Each check takes a seed, and returns only when all was right. */
void check_faults(uint64_t seed);          /* stress_faults.c */
void check_traps(uint64_t seed);           /* stress_faults.c */
void check_arithmetic_faults(uint64_t seed); /* stress_faults.c */
void check_signals(uint64_t seed);         /* stress_signals.c */
void check_timers(uint64_t seed);          /* stress_signals.c */
void check_mmap(uint64_t seed);            /* stress_memory.c */
void check_self_modifying(uint64_t seed);  /* stress_memory.c */
void check_checksums(uint64_t seed);       /* stress_stream.c */
void check_floating_point(uint64_t seed);  /* stress_fp.c */
void check_fp_switches(uint64_t seed);     /* stress_fp.c */
void check_threads(uint64_t seed);         /* stress_threads.c */
void check_futex(uint64_t seed);           /* stress_threads.c */
void check_clock(uint64_t seed);           /* stress_threads.c */
void check_fork(uint64_t seed);            /* stress_process.c */
void check_exec(uint64_t seed);            /* stress_process.c */
void check_pipes(uint64_t seed);           /* stress_process.c */
void check_jit(uint64_t seed);             /* stress_jit.c */
void check_jit_self(uint64_t seed);        /* stress_jit.c */
void check_jit_alias(uint64_t seed);       /* stress_jit.c */
void check_jit_threads(uint64_t seed);     /* stress_jit_threads.c */
void check_jit_live(uint64_t seed);        /* stress_jit_threads.c */
void check_exact(uint64_t seed);           /* stress_exact.c */
void check_step(uint64_t seed);            /* stress_step.c */
void check_watch(uint64_t seed);           /* stress_watch.c */
void check_locks(uint64_t seed);           /* stress_locks.c */
void check_longjmp(uint64_t seed);         /* stress_stack.c */
void check_recursion(uint64_t seed);       /* stress_stack.c */
void check_coroutines(uint64_t seed);      /* stress_stack.c */
void check_remap(uint64_t seed);           /* stress_remap.c */
void check_crossing(uint64_t seed);        /* stress_crossing.c */
void check_control(uint64_t seed);         /* stress_control.c */
void check_alignment(uint64_t seed);       /* stress_control.c */
uint64_t step_trail_hash(int steps);       /* stress_step.c: of the addresses that so many steps of a program come to */
int exec_child(int count, char **arguments); /* what check_exec starts */

#endif
