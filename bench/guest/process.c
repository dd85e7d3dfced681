/* Processes: fork and wait, fork and exec, two that talk through pipes. */
#define _GNU_SOURCE
#include "bench.h"
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t wait_for(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        die("a child did not end as it should");
    return (uint64_t)WEXITSTATUS(status);
}

/* The guests have one vCPU: on a host with more, whether a child wakes up beside its parent or elsewhere would decide the time. */
static void stay_on_one_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die("sched_setaffinity failed");
}

uint64_t fork_and_wait(unsigned long amount)
{
    uint64_t sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++) {
        pid_t child = fork();
        if (child == 0)
            _exit((int)(unit & 0x7f));
        sum = mix(sum, wait_for(child));
    }
    return sum;
}

uint64_t run_fork(unsigned long amount)
{
    stay_on_one_cpu();
    return fork_and_wait(amount);
}

uint64_t run_exec(unsigned long amount)
{
    uint64_t sum = MIX_START;
    stay_on_one_cpu();
    for (unsigned long unit = 0; unit < amount; unit++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "bench", "nothing", (char *)NULL);
            _exit(126);
        }
        sum = mix(sum, wait_for(child));
    }
    return sum;
}

/* A word goes to the other process and comes back, changed. */
uint64_t run_pipe(unsigned long amount)
{
    int there[2], back[2];
    uint64_t word = 1;
    stay_on_one_cpu();
    if (pipe(there) || pipe(back))
        die("pipe failed");
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &word, sizeof word) == sizeof word) {
            word = mix(word, 17);
            if (write(back[1], &word, sizeof word) != sizeof word)
                _exit(1);
        }
        _exit(0);
    }
    start_clock();
    for (unsigned long unit = 0; unit < amount * 20; unit++)
        if (write(there[1], &word, sizeof word) != sizeof word || read(back[0], &word, sizeof word) != sizeof word)
            die("the other process is gone");
    close(there[1]);
    wait_for(child);
    return word;
}
