/* Processes: fork with copies of memory, exec, pipes in a ring. */
#include "stress.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_exit(pid_t child, int code)
{
    int status;
    EXPECT(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == code, "child ended with status 0x%x, not exit %d", status, code);
}

void check_fork(uint64_t seed)
{
    enum { SIZE = 1 << 20, CHILDREN = 6 };
    unsigned char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED && shared != MAP_FAILED, "mmap");
    for (int i = 0; i < SIZE; i += 64)
        area[i] = next_random(&seed);
    uint64_t sum = fnv(area, SIZE);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        EXPECT(children[i] >= 0, "fork: %s", strerror(errno));
        if (children[i])
            continue;
        EXPECT(fnv(area, SIZE) == sum, "the child's copy differs");
        memset(area + i * 65536, i, 65536);
        EXPECT(area[i * 65536 + 5] == i && getppid() > 0, "the child's own page");
        shared[i] = sum + i;

        /* A grandchild, which sees the child's change. */
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(area[i * 65536 + 9] == i ? 40 + i : 1);
        expect_exit(grandchild, 40 + i);
        _exit(100 + i);
    }
    area[SIZE - 1]++; /* the parent writes while the children read */
    area[SIZE - 1]--;
    for (int i = 0; i < CHILDREN; i++) {
        expect_exit(children[i], 100 + i);
        EXPECT(shared[i] == sum + i, "shared memory of child %d", i);
    }
    EXPECT(fnv(area, SIZE) == sum, "a child changed its parent's memory");
    munmap(area, SIZE);
    munmap((void *)shared, 4096);
}

/* --exec-child NUMBER TEXT: answers on standard output, exits with the number. */
int exec_child(int count, char **arguments)
{
    if (count != 4)
        return 250;
    char line[300];
    int length = snprintf(line, sizeof line, "%s %s %d\n", arguments[3], getenv("STRESS") ? getenv("STRESS") : "", count);
    return write(1, line, length) == length ? atoi(arguments[2]) : 251;
}

/* On its own, so that a child of vfork shares no variable that its parent uses later. */
__attribute__((noinline)) static pid_t start_self(int shared, char *number, char *text, const int *ends)
{
    pid_t child = shared ? vfork() : fork();
    if (child == 0) {
        char *arguments[] = { "stress", "--exec-child", number, text, NULL };
        char *environment[] = { "STRESS=environment", NULL };
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execve("/proc/self/exe", arguments, environment);
        _exit(252);
    }
    return child;
}

void check_exec(uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        int ends[2];
        char number[16], text[64], expected[300], answer[300];
        int code = next_random(&seed) % 200;
        snprintf(number, sizeof number, "%d", code);
        snprintf(text, sizeof text, "text-%016lx", next_random(&seed));
        EXPECT(pipe(ends) == 0, "pipe: %s", strerror(errno));
        pid_t child = start_self(i & 1, number, text, ends);
        EXPECT(child >= 0, "fork: %s", strerror(errno));
        close(ends[1]);
        size_t length = 0;
        for (ssize_t step; (step = read(ends[0], answer + length, sizeof answer - 1 - length)) > 0;)
            length += step;
        answer[length] = 0;
        close(ends[0]);
        expect_exit(child, code);
        snprintf(expected, sizeof expected, "%s environment 4\n", text);
        EXPECT(!strcmp(answer, expected), "exec answered '%s', not '%s'", answer, expected);
    }
}

static void copy(int from, int to, size_t size, unsigned char add)
{
    unsigned char buffer[5000];
    while (size) {
        ssize_t count = read(from, buffer, size < sizeof buffer ? size : sizeof buffer);
        EXPECT(count > 0, "read of a pipe: %s", strerror(errno));
        for (ssize_t i = 0; i < count; i++)
            buffer[i] += add;
        for (ssize_t done = 0, step; done < count; done += step) {
            step = write(to, buffer + done, count - done);
            EXPECT(step > 0, "write to a pipe: %s", strerror(errno));
        }
        size -= count;
    }
}

void check_pipes(uint64_t seed)
{
    enum { SIZE = 200000, STAGES = 3 };
    int chain[STAGES + 1][2];
    pid_t children[STAGES + 1];
    for (int i = 0; i <= STAGES; i++) {
        /* Pipes and sockets in turn. */
        int made = i & 1 ? socketpair(AF_UNIX, SOCK_STREAM, 0, chain[i]) : pipe(chain[i]);
        EXPECT(made == 0, "pipe %d: %s", i, strerror(errno));
    }
    unsigned char *data = malloc(SIZE), *back = malloc(SIZE);
    EXPECT(data && back, "malloc");
    for (int i = 0; i < SIZE; i++)
        data[i] = next_random(&seed) >> 33;
    for (int i = 0; i < STAGES; i++) {
        children[i] = fork();
        EXPECT(children[i] >= 0, "fork: %s", strerror(errno));
        if (children[i] == 0) {
            copy(chain[i][0], chain[i + 1][1], SIZE, i + 1);
            _exit(i);
        }
    }
    children[STAGES] = fork();
    EXPECT(children[STAGES] >= 0, "fork: %s", strerror(errno));
    if (children[STAGES] == 0) {
        for (size_t done = 0; done < SIZE;) {
            ssize_t step = write(chain[0][1], data + done, SIZE - done);
            EXPECT(step > 0, "write: %s", strerror(errno));
            done += step;
        }
        _exit(STAGES);
    }
    for (size_t done = 0; done < SIZE;) {
        ssize_t step = read(chain[STAGES][0], back + done, SIZE - done);
        EXPECT(step > 0, "read: %s", strerror(errno));
        done += step;
    }
    for (int i = 0; i < SIZE; i++)
        EXPECT(back[i] == (unsigned char)(data[i] + 1 + 2 + 3), "byte %d came back as %d", i, back[i]);
    for (int i = 0; i <= STAGES; i++) {
        expect_exit(children[i], i);
        close(chain[i][0]);
        close(chain[i][1]);
    }
    free(data);
    free(back);
}
