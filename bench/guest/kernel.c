/* The kernel's side of a program's life: system calls, and pages that are touched for the first time. */
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t run_syscalls(unsigned long amount)
{
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    uint64_t sum = MIX_START;
    char byte[16];
    if (zero < 0 || null < 0)
        die("no /dev/zero or /dev/null");
    start_clock();
    for (unsigned long unit = 0; unit < amount; unit++) {
        long good = 0;
        for (int i = 0; i < 400; i++) {
            good += syscall(SYS_getppid) >= 0; /* not a pid itself: it differs */
            good += read(zero, byte, sizeof byte);
            good += write(null, byte, sizeof byte);
        }
        sum = mix(sum, (uint64_t)good);
    }
    close(zero);
    close(null);
    return sum;
}

/* 4 MiB at a time: mapped, each page written and read, unmapped. */
uint64_t run_faults(unsigned long amount)
{
    enum { PAGES = 1024 };
    uint64_t sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++) {
        uint8_t *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            die("mmap failed");
        madvise(pages, PAGES * 4096, MADV_NOHUGEPAGE); /* a fault for each page, whatever the host's setting is */
        for (int i = 0; i < PAGES; i++)
            pages[i * 4096L + (i & 0xfff)] = (uint8_t)(i + (int)unit);
        for (int i = 0; i < PAGES; i++)
            sum = mix(sum, pages[i * 4096L + (i & 0xfff)]);
        munmap(pages, PAGES * 4096);
    }
    return sum;
}
