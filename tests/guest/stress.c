/*
 * A program that works its machine hard and knows every right answer: faults at exact addresses, signals, processes, threads,
 * futexes, timers, floating point across context switches, self-modifying code, checksums.
 *
 *   stress [-s SECONDS] [-w WORKERS] [-c CHECK]   rounds of all checks (or of one) in WORKERS processes at once
 *   stress -S BYTES                               writes the deterministic stream to standard output
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

static const struct {
    const char *name;
    void (*run)(uint64_t seed);
} checks[] = {
    { "faults", check_faults },
    { "traps", check_traps },
    { "arithmetic-faults", check_arithmetic_faults },
    { "signals", check_signals },
    { "timers", check_timers },
    { "mmap", check_mmap },
    { "self-modifying", check_self_modifying },
    { "checksums", check_checksums },
    { "floating-point", check_floating_point },
    { "fp-switches", check_fp_switches },
    { "threads", check_threads },
    { "futex", check_futex },
    { "clock", check_clock },
    { "fork", check_fork },
    { "exec", check_exec },
    { "pipes", check_pipes },
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

static int worker(int number, long seconds, const char *only)
{
    uint64_t seed = 0x9e3779b97f4a7c15ULL * (number + 1);
    long end = now() + seconds;
    int rounds = 0;
    int done = 0;
    do {
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
            if (only && strcmp(only, checks[i].name))
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
    if (count > 1 && !strcmp(arguments[1], "--exec-child"))
        return exec_child(count, arguments);
    for (int option; (option = getopt(count, arguments, "s:w:c:S:")) != -1;) {
        switch (option) {
        case 's': seconds = atol(optarg); break;
        case 'w': workers = atol(optarg); break;
        case 'c': only = optarg; break;
        case 'S': return write_stream(strtoull(optarg, NULL, 0));
        default: return 2;
        }
    }

    for (int i = 0; i < workers; i++) {
        pid_t child = fork();
        if (child < 0)
            stress_fail("fork of worker %d: %s", i, strerror(errno));
        if (child == 0)
            _exit(worker(i, seconds, only));
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
