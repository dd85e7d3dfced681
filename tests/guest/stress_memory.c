/* Mappings, and code that changes under its feet. */
#define _GNU_SOURCE
#include "stress.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64 };

void check_mmap(uint64_t seed)
{
    /* A model of what each page holds, checked against the mapping after each of many changes. */
    uint64_t model[PAGES] = { 0 };
    char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED, "mmap: %s", strerror(errno));
    for (int i = 0; i < 1500; i++) {
        int page = next_random(&seed) % PAGES;
        int count = 1 + next_random(&seed) % 4;
        char *at = area + page * PAGE;
        if (page + count > PAGES)
            count = PAGES - page;
        switch (next_random(&seed) % 6) {
        case 0:
        case 1:
            model[page] = next_random(&seed);
            for (int offset = 0; offset < PAGE; offset += 512)
                *(uint64_t *)(at + offset) = model[page];
            break;
        case 2:
            madvise(at, count * PAGE, MADV_DONTNEED);
            memset(model + page, 0, count * sizeof *model);
            break;
        case 3:
            EXPECT(mmap(at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at, "mmap fixed");
            memset(model + page, 0, count * sizeof *model);
            break;
        case 4:
            mprotect(at, count * PAGE, PROT_READ);
            EXPECT(*(uint64_t *)at == model[page], "page %d after mprotect", page);
            mprotect(at, count * PAGE, PROT_READ | PROT_WRITE);
            break;
        default: {
            /* Move a page away and back. */
            char *moved = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + (PAGES + 16) * PAGE);
            EXPECT(moved != MAP_FAILED && *(uint64_t *)(moved + 512) == model[page], "mremap of page %d: %s", page, strerror(errno));
            EXPECT(mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at, "mremap back");
            break;
        }
        }
        int any = next_random(&seed) % PAGES;
        EXPECT(*(uint64_t *)(area + any * PAGE + 512) == model[any], "page %d holds %lx, not %lx", any, *(uint64_t *)(area + any * PAGE + 512), model[any]);
    }
    for (int page = 0; page < PAGES; page++)
        for (int offset = 0; offset < PAGE; offset += 512)
            EXPECT(*(uint64_t *)(area + page * PAGE + offset) == model[page], "page %d at the end", page);
    munmap(area, PAGES * PAGE);

    /* One file behind two mappings. */
    int file = memfd_create("stress", 0);
    EXPECT(file >= 0 && ftruncate(file, 16 * PAGE) == 0, "memfd: %s", strerror(errno));
    char *one = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *two = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *own = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    EXPECT(one != MAP_FAILED && two != MAP_FAILED && own != MAP_FAILED, "mmap of a file");
    for (int i = 0; i < 500; i++) {
        size_t at = next_random(&seed) % (16 * PAGE);
        one[at] = i;
        EXPECT(two[at] == (char)i, "shared byte %zu", at);
    }
    memset(own, 7, PAGE);
    EXPECT(memcmp(one, two, 16 * PAGE) == 0 && (one[1] != 7 || one[2] != 7 || one[3] != 7), "a private page is shared");
    munmap(one, 16 * PAGE);
    munmap(two, 16 * PAGE);
    munmap(own, 16 * PAGE);
    close(file);

    char *grown = sbrk(0);
    EXPECT(sbrk(3 * PAGE) == grown && grown[2 * PAGE] == 0, "sbrk");
    grown[2 * PAGE] = 1;
    sbrk(-3 * PAGE);
}

/* mov $value, %eax; ret */
static void emit(unsigned char *at, uint32_t value)
{
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
}

void check_self_modifying(uint64_t seed)
{
    unsigned char *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(code != MAP_FAILED, "mmap of code: %s", strerror(errno));
    for (int i = 0; i < 3000; i++) {
        /* Also across the boundary of the two pages. */
        unsigned char *at = code + (i % 3 ? (int)(next_random(&seed) % (2 * PAGE - 8)) : PAGE - 1 - i % 5);
        uint32_t value = next_random(&seed);
        emit(at, value);
        EXPECT(((uint32_t (*)(void))at)() == value, "new code at %p", (void *)at);
        at[1] ^= 0x55;
        EXPECT(((uint32_t (*)(void))at)() == (value ^ 0x55), "changed byte at %p", (void *)at);
    }

    /* Code that overwrites its own next instruction: movb $0x02, next+1(%rip); next: mov $1, %al; ... ret */
    static const unsigned char own[] = {
        0x31, 0xc0,                               /* xor %eax, %eax */
        0x40, 0x88, 0x3d, 0x01, 0x00, 0x00, 0x00, /* mov %dil, 1(%rip): the operand of the next instruction */
        0xb0, 0x01,                               /* mov $1, %al */
        0xc3,
    };
    memcpy(code, own, sizeof own);
    for (int i = 0; i < 1000; i++) {
        uint32_t value = next_random(&seed) & 255;
        EXPECT(((uint32_t (*)(uint32_t))code)(value) == value, "code that changes its next instruction");
    }
    munmap(code, 2 * PAGE);

    /* Written through one mapping, run through another. */
    int file = memfd_create("code", 0);
    EXPECT(file >= 0 && ftruncate(file, PAGE) == 0, "memfd: %s", strerror(errno));
    unsigned char *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    unsigned char *executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    EXPECT(writable != MAP_FAILED && executable != MAP_FAILED, "two mappings of code");
    for (int i = 0; i < 1000; i++) {
        uint32_t value = next_random(&seed), at = next_random(&seed) % (PAGE - 8);
        emit(writable + at, value);
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory"); /* another address: SDM 3A 9.1.3 wants a serialising one */
        EXPECT(((uint32_t (*)(void))(executable + at))() == value, "code behind an alias");
    }

    /* Other code at the same address: the old page goes, a new one comes. */
    munmap(executable, PAGE);
    for (int i = 0; i < 200; i++) {
        unsigned char *fresh = mmap(executable, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        EXPECT(fresh == executable, "mmap fixed of code");
        emit(fresh, i);
        mprotect(fresh, PAGE, PROT_READ | PROT_EXEC);
        EXPECT(((uint32_t (*)(void))fresh)() == (uint32_t)i, "a new page of code at an old address");
    }
    munmap(executable, PAGE);
    munmap(writable, PAGE);
    close(file);
}
