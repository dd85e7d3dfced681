/* Processes: fork and wait, fork and exec, two that talk through pipes. */
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

static uint64_t wait_for(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        die("a child did not end as it should");
    return (uint64_t)WEXITSTATUS(status);
}

uint64_t run_fork(unsigned long amount)
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

uint64_t run_exec(unsigned long amount)
{
    uint64_t sum = MIX_START;
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
