/* Loads for several vCPUs: independent processes, and processes whose kernel side shares locks. Not part of the single-vCPU table. */
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4

static uint64_t run_all(group_function *run, unsigned long amount)
{
    int ends[2];
    if (pipe(ends))
        die("pipe failed");
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork failed");
        if (child == 0) {
            uint64_t sum = run(amount);
            _exit(write(ends[1], &sum, sizeof sum) != sizeof sum);
        }
    }
    uint64_t total = 0;
    for (int i = 0; i < PROCESSES; i++) {
        uint64_t sum;
        int status;
        if (read(ends[0], &sum, sizeof sum) != sizeof sum)
            die("no result from a child");
        total += sum; /* in any order */
        if (wait(&status) < 0 || status != 0)
            die("a child failed");
    }
    return total;
}

/* Integer work in each of four processes. */
uint64_t run_spread(unsigned long amount)
{
    return run_all(run_integer, amount);
}

static uint64_t fault_and_fork(unsigned long amount)
{
    return run_faults(amount) ^ fork_and_wait(amount);
}

/* Page allocation and process creation in each of four processes: a vCPU often spins for a lock whose holder is not running. */
uint64_t run_contend(unsigned long amount)
{
    return run_all(fault_and_fork, amount);
}
