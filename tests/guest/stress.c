/*
 * A program that works its machine hard and knows every right answer: faults at exact addresses, signals, processes, threads,
 * futexes, timers, floating point across context switches, self-modifying code, checksums.
 *
 *   stress [-s SECONDS] [-w WORKERS] [-g GROUP] [-c CHECK]   rounds of a group's checks (or of one) in WORKERS processes at once;
 *                                                            the groups are "system" (usual), "cpu" and "all"
 *   stress -S BYTES                                          writes the deterministic stream to standard output
 *   stress -T STEPS                                          steps a program and prints "TRAIL" and a hash of where it went
 *
 * Prints a line for each check of the first round, one for each worker, and "STRESS OK" or "STRESS FAIL what" at the end.
 * Build: gcc -O2 -static -pthread stress*.c. It must pass on real hardware.
 */
#include "stress.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SYSTEM = 1, CPU = 2 };

static const struct {
    const char *name;
    void (*run)(uint64_t seed);
    int group;
} checks[] = {
    { "faults", check_faults, SYSTEM },
    { "traps", check_traps, SYSTEM },
    { "arithmetic-faults", check_arithmetic_faults, SYSTEM },
    { "signals", check_signals, SYSTEM },
    { "timers", check_timers, SYSTEM },
    { "mmap", check_mmap, SYSTEM },
    { "self-modifying", check_self_modifying, SYSTEM },
    { "checksums", check_checksums, SYSTEM },
    { "floating-point", check_floating_point, SYSTEM },
    { "fp-switches", check_fp_switches, SYSTEM },
    { "threads", check_threads, SYSTEM },
    { "futex", check_futex, SYSTEM },
    { "clock", check_clock, SYSTEM },
    { "fork", check_fork, SYSTEM },
    { "exec", check_exec, SYSTEM },
    { "pipes", check_pipes, SYSTEM },
    { "jit", check_jit, CPU },
    { "jit-self", check_jit_self, CPU },
    { "jit-alias", check_jit_alias, CPU },
    { "jit-threads", check_jit_threads, CPU },
    { "jit-live", check_jit_live, CPU },
    { "exact", check_exact, CPU },
    { "step", check_step, CPU },
    { "watch", check_watch, CPU },
    { "locks", check_locks, CPU },
    { "longjmp", check_longjmp, CPU },
    { "recursion", check_recursion, CPU },
    { "coroutines", check_coroutines, CPU },
    { "remap", check_remap, CPU },
    { "crossing", check_crossing, CPU },
    { "control", check_control, CPU },
    { "alignment", check_alignment, CPU },
};

static const char *current = "start";

/* One write per line, so that the lines of several workers do not mix. */
static void say(const char *format, ...)
{
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 1)
        length = sizeof line - 1;
    if (write(1, line, length) != length)
        _exit(3);
}

void stress_fail(const char *format, ...)
{
    char what[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    say("STRESS FAIL %s: %s\n", current, what);
    _exit(1);
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static int worker(int number, long seconds, int group, const char *only)
{
    uint64_t seed = 0x9e3779b97f4a7c15ULL * (number + 1);
    long end = now() + seconds;
    int rounds = 0;
    int done = 0;
    do {
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
            if (only ? strcmp(only, checks[i].name) : !(checks[i].group & group))
                continue;
            current = checks[i].name;
            checks[i].run(next_random(&seed) | 1);
            done++;
            if (rounds == 0 && number == 0)
                say("ok %s\n", checks[i].name);
        }
        rounds++;
    } while (now() < end && done);
    say("worker %d: %d rounds, %d checks\n", number, rounds, done);
    return done ? 0 : 2;
}

static int write_stream(uint64_t size)
{
    static unsigned char buffer[1 << 16];
    struct stream stream = { 1, 0 };
    while (size) {
        size_t count = size < sizeof buffer ? size : sizeof buffer;
        stream_fill(&stream, buffer, count);
        for (size_t written = 0; written < count;) {
            ssize_t step = write(1, buffer + written, count - written);
            if (step <= 0)
                return 1;
            written += step;
        }
        size -= count;
    }
    return 0;
}

int main(int count, char **arguments)
{
    long seconds = 0;
    long workers = sysconf(_SC_NPROCESSORS_ONLN);
    const char *only = NULL;
    int group = SYSTEM;
    if (count > 1 && !strcmp(arguments[1], "--exec-child"))
        return exec_child(count, arguments);
    for (int option; (option = getopt(count, arguments, "s:w:g:c:S:T:")) != -1;) {
        switch (option) {
        case 's': seconds = atol(optarg); break;
        case 'w': workers = atol(optarg); break;
        case 'g': group = !strcmp(optarg, "all") ? SYSTEM | CPU : !strcmp(optarg, "cpu") ? CPU : SYSTEM; break;
        case 'c': only = optarg; break;
        case 'T': say("TRAIL %016lx\n", step_trail_hash(atoi(optarg))); return 0;
        case 'S': return write_stream(strtoull(optarg, NULL, 0));
        default: return 2;
        }
    }

    for (int i = 0; i < workers; i++) {
        pid_t child = fork();
        if (child < 0)
            stress_fail("fork of worker %d: %s", i, strerror(errno));
        if (child == 0)
            _exit(worker(i, seconds, group, only));
    }
    int bad = 0;
    for (int i = 0; i < workers; i++) {
        int status;
        pid_t child = wait(&status);
        if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
            say("a worker ended with status 0x%x\n", status);
            bad = 1;
        }
    }
    say(bad ? "STRESS FAIL a worker\n" : "STRESS OK\n");
    return bad;
}
