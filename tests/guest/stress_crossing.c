/* Instructions and data that lie across two pages, of which one may be missing, read-only, or change. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned char data[64] __attribute__((aligned(64)));

/* Long instructions; %rdi points to `data`, whose quadwords are 1 to 8; what %rax is afterwards, from %rax = 5. */
static const struct {
    const char *name, *bytes;
    int length;
    uint64_t result;
} instructions[] = {
#define CODE(text) text, sizeof(text) - 1
    { "movabs", CODE("\x48\xb8\x08\x07\x06\x05\x04\x03\x02\x01"), 0x0102030405060708 },
    { "mov imm32 to memory", CODE("\x48\xc7\x87\x18\x00\x00\x00\x78\x56\x34\x12"), 5 },
    { "lea", CODE("\x48\x8d\x84\x80\x00\x01\x00\x00"), 5 * 5 + 256 },
    { "lock xadd", CODE("\xf0\x48\x0f\xc1\x87\x10\x00\x00\x00"), 3 },
    { "imul", CODE("\x48\x69\x87\x08\x00\x00\x00\x07\x00\x00\x00"), 14 },
    { "prefixed nop", CODE("\x66\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00"), 5 },
    { "cmp, sete", CODE("\x48\x83\xbf\x08\x00\x00\x00\x02\x0f\x94\xc0"), 1 },
    { "jump over", CODE("\xe9\x02\x00\x00\x00\xff\xc0\xff\xc0"), 6 },
    { "condition", CODE("\x48\x39\xc0\x0f\x84\x02\x00\x00\x00\xff\xc0\xff\xc8"), 4 },
    { "movdqu, movq", CODE("\xf3\x0f\x6f\x87\x08\x00\x00\x00\x66\x48\x0f\x7e\xc0"), 2 },
    { "push, pop", CODE("\x68\x44\x33\x22\x11\x58"), 0x11223344 },
    { "fild, fistp", CODE("\xdf\xaf\x20\x00\x00\x00\xdf\xbf\x28\x00\x00\x00\x48\x8b\x47\x28"), 5 },
    { "bt, adc", CODE("\x48\x0f\xba\xa7\x00\x00\x00\x00\x00\x48\x83\xd0\x10"), 5 + 16 + 1 },
};

static void fill(void)
{
    for (uint64_t i = 0; i < 8; i++)
        memcpy(data + 8 * i, &(uint64_t){ i + 1 }, 8);
}

/* mov $5, %eax in front, ret behind; returns where the instruction begins. */
static unsigned char *lay(unsigned char *start, int i)
{
    unsigned char *at = start;
    PUT(at, 0xb8, 5, 0, 0, 0);
    unsigned char *instruction = at;
    at = put(at, instructions[i].bytes, instructions[i].length);
    put8(at, 0xc3);
    return instruction;
}

static uint64_t run(unsigned char *start)
{
    fill();
    return ((uint64_t (*)(void *))start)(data);
}

static void check_code(void)
{
    unsigned char *code = code_pages(2);
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        for (int back = 1; back <= instructions[i].length; back++) {
            memset(code, 0xcc, 2 * PAGE);
            unsigned char *start = code + PAGE - 5 - back;
            lay(start, i);
            for (int j = 0; j < 2; j++) {
                uint64_t result = run(start);
                EXPECT(result == instructions[i].result, "%s, %d bytes before the page: %lx, not %lx", instructions[i].name, back, result, instructions[i].result);
            }

            /* Without the second page the fetch faults; the address is the page, RIP the first instruction that reaches into it. */
            mprotect(code + PAGE, PAGE, PROT_READ | PROT_WRITE);
            CATCH(run(start));
            EXPECT(caught.count == 1 && caught.signal == SIGSEGV && caught.code == SEGV_ACCERR && CAUGHT(ERR) == 0x15, "%s: signal %d code %d error %lx",
                instructions[i].name, caught.signal, caught.code, CAUGHT(ERR));
            uint64_t second = (uint64_t)code + PAGE, rip = CAUGHT(RIP);
            EXPECT(rip < second ? caught.address == second && rip >= (uint64_t)start + 5 : caught.address == rip, "%s: rip %lx, address %lx", instructions[i].name,
                rip, caught.address);
            mprotect(code + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
            EXPECT(run(start) == instructions[i].result, "%s after the page came back", instructions[i].name);
        }
    }

    /* The tail alone changes: by a write, and by another page in its place. */
    int file = memfd_create("tails", 0);
    EXPECT(file >= 0 && ftruncate(file, 16 * PAGE) == 0, "memfd: %s", strerror(errno));
    unsigned char *tails = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    for (int back = 1; back <= 4; back++) {
        unsigned char *start = code + PAGE - back;
        put_return(start, 0x01010101);
        for (int i = 0; i < 16; i++)
            put(tails + i * PAGE, "\x11\x11\x11\x11\xc3" + back - 1, 6 - back);
        for (int i = 0; i < 16; i++)
            tails[i * PAGE] = i + 1;
        uint32_t high = 0x01010101;
        memcpy((unsigned char *)&high + back - 1, tails, 5 - back);
        for (int i = 0; i < 16; i++) {
            EXPECT(mmap(code + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, i * PAGE) == code + PAGE, "mmap of a tail");
            ((unsigned char *)&high)[back - 1] = i + 1;
            EXPECT(call_at(start) == high, "tail %d, %d bytes before the page: %x, not %x", i, back, call_at(start), high);
            tails[i * PAGE] = 0x40 + i;
            serialise();
            ((unsigned char *)&high)[back - 1] = 0x40 + i;
            EXPECT(call_at(start) == high, "written tail %d, %d bytes before the page: %x, not %x", i, back, call_at(start), high);
        }
        mmap(code + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    munmap(tails, 16 * PAGE);
    close(file);
    munmap(code, 2 * PAGE);
}

/* One access of each kind at `at`, which crosses into the next page; the value there before and afterwards. */
static void store2(unsigned char *at) { __asm__ volatile("movw $0x1234, (%0)" : : "r"(at) : "memory"); }
static void store4(unsigned char *at) { __asm__ volatile("movl $0x12345678, (%0)" : : "r"(at) : "memory"); }
static void store8(unsigned char *at) { __asm__ volatile("movq $0x12345678, (%0)" : : "r"(at) : "memory"); }
static void store16(unsigned char *at) { __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n movups %%xmm0, (%0)" : : "r"(at) : "memory", "xmm0"); }
static void add4(unsigned char *at) { __asm__ volatile("addl $0x01010101, (%0)" : : "r"(at) : "memory", "cc"); }
static void lock8(unsigned char *at) { __asm__ volatile("lock notq (%0)" : : "r"(at) : "memory"); }
static void exchange4(unsigned char *at) { __asm__ volatile("xchgl %%eax, (%0)" : : "r"(at) : "memory", "eax"); }
static void string8(unsigned char *at) { __asm__ volatile("stosq" : "+D"(at) : "a"(0x99) : "memory"); }
static void string_move(unsigned char *at) { __asm__ volatile("mov %0, %%rdi\n lea data(%%rip), %%rsi\n movsq" : : "r"(at) : "memory", "rdi", "rsi"); }
static void push8(unsigned char *at) { __asm__ volatile("mov %%rsp, %%r8\n lea 8(%0), %%rsp\n push $0x55\n mov %%r8, %%rsp" : : "r"(at) : "memory", "r8"); }
static void call8(unsigned char *at) { __asm__ volatile("mov %%rsp, %%r8\n lea 8(%0), %%rsp\n call 1f\n 1: mov %%r8, %%rsp" : : "r"(at) : "memory", "r8"); }
static void x87_8(unsigned char *at) { __asm__ volatile("fldpi\n fstpl (%0)" : : "r"(at) : "memory"); }
static void x87_10(unsigned char *at) { __asm__ volatile("fldpi\n fstpt (%0)" : : "r"(at) : "memory"); }
static void compare8(unsigned char *at) { __asm__ volatile("mov (%0), %%rax\n mov $0x77, %%ecx\n cmpxchg %%rcx, (%0)" : : "r"(at) : "memory", "rax", "rcx", "cc"); }
static void set_bit(unsigned char *at) { __asm__ volatile("mov $13, %%ecx\n btcw %%cx, (%0)" : : "r"(at) : "memory", "rcx", "cc"); }

static const struct {
    const char *name;
    int size;
    void (*run)(unsigned char *);
} stores[] = {
    { "movw", 2, store2 }, { "movl", 4, store4 }, { "movq", 8, store8 }, { "movups", 16, store16 }, { "addl", 4, add4 }, { "lock notq", 8, lock8 },
    { "xchgl", 4, exchange4 }, { "stosq", 8, string8 }, { "movsq", 8, string_move }, { "push", 8, push8 }, { "call", 8, call8 }, { "fstpl", 8, x87_8 },
    { "fstpt", 10, x87_10 }, { "cmpxchg", 8, compare8 }, { "btcw", 2, set_bit },
};

static void check_data(uint64_t *seed)
{
    unsigned char *area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(area != MAP_FAILED, "mmap: %s", strerror(errno));
    unsigned char *edge = area + 2 * PAGE, before[32], whole[32];
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        for (int head = 1; head < stores[i].size; head++) {
            unsigned char *at = edge - head, *place = area + 512;
            for (int j = 0; j < 32; j++)
                edge[j - 16] = next_random(seed);

            /* What it does where nothing crosses, from the same bytes. */
            memcpy(place, at, 16);
            memcpy(before, edge - 16, 32);
            fill();
            stores[i].run(place);
            memcpy(whole, place, stores[i].size);

            /* The second page read-only, then not there, then the first one read-only: nothing is written at all. */
            for (int how = 0; how < 3; how++) {
                mprotect(how == 2 ? edge - PAGE : edge, PAGE, how == 1 ? PROT_NONE : PROT_READ);
                CATCH(stores[i].run(at));
                __asm__ volatile("fninit");
                EXPECT(caught.count == 1 && caught.signal == SIGSEGV && caught.address == (uint64_t)(how == 2 ? at : edge), "%s at -%d, %d: signal %d, address %lx",
                    stores[i].name, head, how, caught.signal, caught.address);
                mprotect(edge - PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
                EXPECT(!memcmp(before, edge - 16, 32), "%s at -%d faulted and wrote", stores[i].name, head);
            }
            fill();
            stores[i].run(at);
            if (stores[i].run == call8 || stores[i].run == exchange4)
                continue; /* writes what differs: its own address, a register */
            EXPECT(!memcmp(whole, at, stores[i].size), "%s at -%d wrote other bytes", stores[i].name, head);
            EXPECT(!memcmp(before, edge - 16, 16 - head) && !memcmp(before + 16 - head + stores[i].size, at + stores[i].size, 16 + head - stores[i].size),
                "%s at -%d wrote too much", stores[i].name, head);
        }
    }

    /* Loads of every size, also with pages that are neighbours in the one mapping only. */
    for (int head = 1; head < 16; head++) {
        for (int j = 0; j < 32; j++)
            edge[j - 16] = next_random(seed);
        const unsigned char *at = edge - head;
        uint64_t eight = 0, right = 0, vector[2];
        __asm__ volatile("mov (%1), %0" : "=r"(eight) : "r"(at) : "memory");
        memcpy(&right, at, 8);
        EXPECT(head > 7 || eight == right, "mov at -%d", head);
        __asm__ volatile("movups (%1), %%xmm0\n movups %%xmm0, (%0)" : : "r"(vector), "r"(at) : "memory", "xmm0");
        EXPECT(!memcmp(vector, at, 16), "movups at -%d", head);
        __asm__ volatile("movzwl (%1), %k0" : "=r"(eight) : "r"(edge - 1) : "memory");
        EXPECT(eight == (edge[-1] | (unsigned)edge[0] << 8), "movzwl");
    }
    munmap(area, 4 * PAGE);
}

void check_crossing(uint64_t seed)
{
    catch_begin();
    check_code();
    check_data(&seed);
    catch_end();
}
