/*
 * The guest program of the speed benchmark (docs/benchmarks.md). It runs the same on the host and in guests.
 *
 *   bench GROUP PERCENT    does PERCENT of the group's full work and prints "BENCH group nanoseconds checksum"
 *   bench clock 0          prints "BENCH clock nanoseconds 0": CLOCK_MONOTONIC itself
 *   bench list             prints the groups
 *
 * "BENCH-SKIPPED group reason" stands for a group that this CPU cannot run.
 */
#include "bench.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The full amounts take 0.1 to 0.3 s on a host of 2024. */
static const struct group {
    const char *name;
    group_function *run;
    unsigned long amount;
} groups[] = {
    { "integer", run_integer, 500 },
    { "recursion", run_recursion, 1500 },
    { "tables", run_tables, 500 },
    { "chase", run_chase, 30 },
    { "sort", run_sort, 80 },
    { "bytecode", run_bytecode, 300 },
    { "sse2", run_sse2, 300 },
    { "avx", run_avx, 300 },
    { "copy", run_copy, 50 },
    { "copy-loop", run_copy_loop, 2000 },
    { "gzip", run_gzip, 60 },
    { "sha256", run_sha256, 100 },
    { "shell", run_shell, 30 },
    { "syscalls", run_syscalls, 600 },
    { "faults", run_faults, 100 },
    { "fork", run_fork, 1000 },
    { "exec", run_exec, 200 },
    { "pipe", run_pipe, 1500 },
    { "spread", run_spread, 500 },
    { "contend", run_contend, 50 },
};

static uint64_t started;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void start_clock(void)
{
    started = now();
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

const char *busybox(void)
{
    const char *path = getenv("BUSYBOX");
    return path ? path : "/bin/busybox";
}

static int run(const struct group *group, unsigned long percent)
{
    if (group->run == run_avx && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) {
        printf("BENCH-SKIPPED %s CPUID has no AVX2 with FMA\n", group->name);
        return 0;
    }
    unsigned long amount = group->amount * percent / 100;
    start_clock();
    uint64_t sum = group->run(amount ? amount : 1);
    uint64_t nanoseconds = now() - started;
    printf("BENCH %s %llu %016llx\n", group->name, (unsigned long long)nanoseconds, (unsigned long long)sum);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "nothing") == 0) /* what run_exec executes */
        _exit(7);
    if (count == 2 && strcmp(arguments[1], "list") == 0) {
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
            puts(groups[i].name);
        return 0;
    }
    if (count != 3)
        die("usage: bench GROUP PERCENT");
    if (strcmp(arguments[1], "clock") == 0) {
        printf("BENCH clock %llu 0\n", (unsigned long long)now());
        return 0;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strcmp(arguments[1], groups[i].name) == 0)
            return run(&groups[i], strtoul(arguments[2], NULL, 10));
    die("no group %s", arguments[1]);
}
