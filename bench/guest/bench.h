/* What the groups of the speed benchmark share. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * A group does `amount` units of its work and returns a checksum of what it computed, which must be the same on every machine:
 * no addresses, no process ids, no times, and no library function that picks its algorithm by CPUID and rounds differently.
 */
typedef uint64_t group_function(unsigned long amount);

group_function run_integer, run_recursion, run_tables, run_bytecode, run_sort;
group_function run_chase, run_copy, run_copy_loop;
group_function run_sse2, run_avx;
group_function run_syscalls, run_faults, run_fork, run_exec, run_pipe;
group_function run_gzip, run_sha256, run_shell;
group_function run_spread, run_contend;

/* run_fork without its hold on one CPU. */
group_function fork_and_wait;

/* Starts the group's time again: what came before was preparation. */
void start_clock(void);

/* Ends the program with a message. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* The busybox to run: $BUSYBOX, or the guest's. */
const char *busybox(void);

/* xorshift64* (Marsaglia, Vigna): the same numbers everywhere. The state must not be 0. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

/* FNV-1a over 64-bit words rather than bytes: cheap, and enough to tell a wrong result. */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x100000001b3ULL;
}

#define MIX_START 0xcbf29ce484222325ULL
