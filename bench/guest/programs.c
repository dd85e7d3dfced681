/* Programs that are not ours: Debian's busybox packs, hashes and interprets a script. Data goes through memory files, not a disk. */
#define _GNU_SOURCE
#include "bench.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int memory_file(void)
{
    int file = memfd_create("bench", 0);
    if (file < 0)
        die("memfd_create failed");
    return file;
}

/* Text with repetitions, so that packing it has matches to find. */
static int make_text(size_t bytes)
{
    static const char *words[] = { "domain ", "vcpu ", "event channel ", "grant ", "ring ", "page ", "frame ", "store\n" };
    int file = memory_file();
    uint64_t state = 13;
    char block[4096];
    for (size_t done = 0; done < bytes; done += sizeof block) {
        size_t at = 0;
        while (at + 40 < sizeof block) {
            uint64_t random = next_random(&state);
            at += (size_t)sprintf(block + at, "%s%x ", words[random & 7], (unsigned)(random >> 52));
        }
        memset(block + at, '.', sizeof block - at);
        if (write(file, block, sizeof block) != sizeof block)
            die("a memory file is full");
    }
    return file;
}

/* Runs busybox with these files as its input and output; the checksum is over what it wrote. */
static uint64_t run_busybox(int input, char *const arguments[])
{
    int output = memory_file();
    lseek(input, 0, SEEK_SET);
    pid_t child = fork();
    if (child == 0) {
        dup2(input, 0);
        dup2(output, 1);
        execv(busybox(), arguments);
        _exit(126);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("%s %s failed", busybox(), arguments[1]);
    uint64_t sum = MIX_START;
    unsigned char block[4096];
    ssize_t count;
    lseek(output, 0, SEEK_SET);
    while ((count = read(output, block, sizeof block)) > 0)
        for (ssize_t i = 0; i < count; i++)
            sum = mix(sum, block[i]);
    close(output);
    return sum;
}

uint64_t run_gzip(unsigned long amount)
{
    int text = make_text(amount * 80 << 10);
    start_clock();
    return run_busybox(text, (char *[]){ "busybox", "gzip", "-c", NULL });
}

uint64_t run_sha256(unsigned long amount)
{
    int text = make_text(amount * 400 << 10);
    start_clock();
    return run_busybox(text, (char *[]){ "busybox", "sha256sum", NULL });
}

uint64_t run_shell(unsigned long amount)
{
    char script[400];
    snprintf(script, sizeof script,
        "i=0; s=1; while [ $i -lt %lu ]; do i=$((i+1)); s=$(((s*31+i)%%65521));"
        " case $s in *7) s=$((s+1));; 1*) t=${s#1}x;; esac; done; echo $s $t",
        amount * 2000);
    return run_busybox(memory_file(), (char *[]){ "busybox", "sh", "-c", script, NULL });
}
