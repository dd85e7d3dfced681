/* What a just-in-time compiler does: code that is generated, run, patched in place, moved, and generated anew. */
#define _GNU_SOURCE
#include "stress_catch.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OPS = 48 };

/* A program over %eax, as numbers that a model runs too. */
struct program {
    int count;
    struct {
        unsigned kind, value;
    } op[OPS];
};

enum { ADD, SUB, XOR, OR, AND, MULTIPLY, ROTATE, SKIP, KINDS };

/* The second byte decides among operations of the same form: 81 /n id with %eax. */
static const unsigned char immediate_form[] = { 0xc0, 0xe8, 0xf0, 0xc8, 0xe0 };

static uint32_t model(const struct program *program, uint32_t value)
{
    for (int i = 0; i < program->count; i++) {
        uint32_t by = program->op[i].value;
        switch (program->op[i].kind) {
        case ADD: value += by; break;
        case SUB: value -= by; break;
        case XOR: value ^= by; break;
        case OR: value |= by; break;
        case AND: value &= by; break;
        case MULTIPLY: value *= by; break;
        case ROTATE: value = value << (by & 31) | (by & 31 ? value >> (32 - (by & 31)) : 0); break;
        default: i += value & 1; break; /* the next one is left out when the value is odd */
        }
    }
    return value;
}

static size_t length_of(unsigned kind)
{
    return kind == ROTATE ? 3 : kind == SKIP ? 4 : 6;
}

/* test $1, %al; jnz over the next one: 4 bytes. */
static unsigned char *emit_op(unsigned char *at, const struct program *program, int i)
{
    unsigned kind = program->op[i].kind, value = program->op[i].value;
    switch (kind) {
    case MULTIPLY:
        PUT(at, 0x69, 0xc0);
        return put32(at, value);
    case ROTATE:
        PUT(at, 0xc1, 0xc0);
        return put8(at, value & 31);
    case SKIP:
        PUT(at, 0xa8, 0x01, 0x75);
        return put8(at, i + 1 < program->count ? length_of(program->op[i + 1].kind) : 0);
    default:
        at = put8(at, 0x81);
        at = put8(at, immediate_form[kind]);
        return put32(at, value);
    }
}

static size_t emit_program(unsigned char *at, const struct program *program, unsigned char **where)
{
    unsigned char *start = at;
    PUT(at, 0x89, 0xf8); /* mov %edi, %eax */
    for (int i = 0; i < program->count; i++) {
        where[i] = at;
        at = emit_op(at, program, i);
    }
    return put8(at, 0xc3) - start;
}

static void choose(struct program *program, uint64_t *seed)
{
    program->count = 2 + next_random(seed) % (OPS - 2);
    for (int i = 0; i < program->count; i++) {
        program->op[i].kind = next_random(seed) % KINDS;
        program->op[i].value = next_random(seed);
    }
}

static void run_program(const void *code, const struct program *program, uint32_t argument, const char *what)
{
    uint32_t result = ((uint32_t (*)(uint32_t))code)(argument), right = model(program, argument);
    EXPECT(result == right, "%s at %p: %x, not %x", what, code, result, right);
}

/* Changes one operation in the code without changing where the others are. */
static void patch(struct program *program, unsigned char **where, uint64_t *seed)
{
    int i = next_random(seed) % program->count;
    if (program->op[i].kind < MULTIPLY && next_random(seed) % 2) {
        program->op[i].kind = next_random(seed) % MULTIPLY;
        where[i][1] = immediate_form[program->op[i].kind];
    } else {
        program->op[i].value = next_random(seed);
        if (program->op[i].kind <= MULTIPLY)
            put32(where[i] + 2, program->op[i].value);
        else
            emit_op(where[i], program, i);
    }
}

void check_jit(uint64_t seed)
{
    enum { PAGES = 4 };
    unsigned char *code = code_pages(PAGES), *where[OPS];
    struct program program;
    for (int i = 0; i < 150; i++) {
        /* Often so that an instruction crosses into the second page. */
        unsigned char *at = code + (i & 1 ? PAGE - next_random(&seed) % 64 : next_random(&seed) % ((PAGES - 1) * PAGE));
        choose(&program, &seed);
        int flips = i % 5 == 0;
        if (flips)
            mprotect(code, PAGES * PAGE, PROT_READ | PROT_WRITE);
        emit_program(at, &program, where);
        for (int j = 0; j < 12; j++) {
            if (flips)
                EXPECT(mprotect(code, PAGES * PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect: %s", strerror(errno));
            run_program(at, &program, next_random(&seed), flips ? "flipped program" : "program");
            run_program(at, &program, next_random(&seed), "program again");
            if (flips)
                mprotect(code, PAGES * PAGE, PROT_READ | PROT_WRITE);
            patch(&program, where, &seed);
        }
        mprotect(code, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    munmap(code, PAGES * PAGE);
}

/* Code that changes itself while it runs, at every place around a page boundary. */
static void patch_next(unsigned char *at, uint32_t first, int turns)
{
    unsigned char *start = at;
    PUT(at, 0x31, 0xc0, 0x89, 0xf1);                   /* xor %eax, %eax; mov %esi, %ecx */
    unsigned char *loop = at;
    PUT(at, 0x89, 0x3d, 0x01, 0x00, 0x00, 0x00, 0x05); /* mov %edi, 1(%rip); add $..., %eax: its operand */
    at = put32(at, 0);
    PUT(at, 0xff, 0xc7, 0xff, 0xc9, 0x75);             /* inc %edi; dec %ecx; jnz loop */
    at = put8(at, loop - (at + 1));
    put8(at, 0xc3);
    uint32_t right = 0;
    for (int i = 0; i < turns; i++)
        right += first + i;
    uint32_t result = ((uint32_t (*)(uint32_t, uint32_t))start)(first, turns);
    EXPECT(result == right, "the next instruction patched, code at %p: %x, not %x", (void *)start, result, right);
}

/* The loop's own beginning becomes another instruction half-way: inc %eax becomes dec %eax. */
static void patch_before(unsigned char *at, int turns)
{
    unsigned char *start = at;
    PUT(at, 0x31, 0xc0, 0x89, 0xf9); /* xor %eax, %eax; mov %edi, %ecx */
    unsigned char *loop = at;
    PUT(at, 0xff, 0xc0, 0x39, 0xf1, 0x75, 0x07, 0xc6, 0x05); /* inc %eax; cmp %esi, %ecx; jne over; movb $0xc8, loop + 1 */
    at = put32(at, loop + 1 - (at + 5));
    at = put8(at, 0xc8);
    PUT(at, 0xff, 0xc9, 0x75); /* dec %ecx; jnz loop */
    at = put8(at, loop - (at + 1));
    put8(at, 0xc3);
    /* inc until %ecx was turns / 2 (that round included), dec from there. */
    int half = turns / 2, right = (turns - half + 1) - (half - 1);
    int result = ((int (*)(int, int))start)(turns, half);
    EXPECT(result == right, "the loop's start patched, code at %p: %d, not %d", (void *)start, result, right);
}

/* A string instruction and a vector store put code right behind themselves. */
static void patch_behind(unsigned char *at, uint32_t value)
{
    unsigned char fresh[16] = { 0xb8, 0, 0, 0, 0, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xcc };
    put32(fresh + 1, value);
    unsigned char *start = at;
    PUT(at, 0x48, 0x8d, 0x3d, 0x07, 0, 0, 0, 0xb9, 0x10, 0, 0, 0); /* lea 7(%rip), %rdi: behind rep movsb; mov $16, %ecx */
    PUT(at, 0xf3, 0xa4); /* rep movsb */
    memset(at, 0xcc, 16);
    uint32_t result = ((uint32_t (*)(void *, void *))start)(NULL, fresh);
    EXPECT(result == value, "rep movsb over what follows, at %p: %x, not %x", (void *)start, result, value);

    put32(fresh + 1, ~value);
    at = start;
    PUT(at, 0x0f, 0x10, 0x06, 0x0f, 0x11, 0x05, 0, 0, 0, 0); /* movups (%rsi), %xmm0; movups %xmm0, 0(%rip) */
    memset(at, 0xcc, 16);
    result = ((uint32_t (*)(void *, void *))start)(NULL, fresh);
    EXPECT(result == ~value, "movups over what follows, at %p: %x, not %x", (void *)start, result, ~value);
}

/* Calls and jumps whose targets and conditions change. */
static void patch_branches(unsigned char *code, uint64_t *seed)
{
    unsigned char *target[8], *at = code + PAGE - 3 - next_random(seed) % 4;
    for (int i = 0; i < 8; i++) {
        target[i] = code + 2 * PAGE + next_random(seed) % 64 + i * 128;
        put_return(target[i], i * 1000);
    }
    /* call x; cmp $4000, %eax; jb/jae over; jmp y; over: inc %eax; ret */
    unsigned char *site = at, *condition, *jump;
    at = put8(at, 0xe8);
    at = put32(at, 0);
    PUT(at, 0x3d, 0xa0, 0x0f, 0, 0);
    condition = at;
    PUT(at, 0x72, 0x05);
    jump = at;
    at = put8(at, 0xe9);
    at = put32(at, 0);
    PUT(at, 0xff, 0xc0, 0xc3);
    for (int i = 0; i < 60; i++) {
        unsigned to = next_random(seed) % 8, then = next_random(seed) % 8, above = next_random(seed) % 2;
        put32(site + 1, target[to] - (site + 5));
        put32(jump + 1, target[then] - (jump + 5));
        *condition = above ? 0x73 : 0x72;
        uint32_t over = above ? to >= 4 : to < 4, right = over ? to * 1000 + 1 : then * 1000;
        for (int j = 0; j < 2; j++)
            EXPECT(call_at(site) == right, "patched branches at %p: %u, not %u", (void *)site, call_at(site), right);
    }
}

void check_jit_self(uint64_t seed)
{
    unsigned char *code = code_pages(4);
    for (int back = 0; back < 48; back++) {
        unsigned char *at = code + PAGE - back;
        patch_next(at, next_random(&seed), 20);
        patch_before(at, 20);
        patch_behind(at, next_random(&seed));
    }
    for (int i = 0; i < 8; i++)
        patch_branches(code, &seed);

    /* The same bytes hot first, then changed: a loop of many turns with one byte of difference in between. */
    for (int i = 0; i < 10; i++) {
        patch_next(code + 100, next_random(&seed), 3000);
        patch_before(code + 300, 3000);
    }
    munmap(code, 4 * PAGE);
}

/* One file, three mappings: written through the first, run through the two others, which hold its pages in another order. */
void check_jit_alias(uint64_t seed)
{
    enum { PAGES = 3 };
    int file = memfd_create("jit", 0);
    EXPECT(file >= 0 && ftruncate(file, PAGES * PAGE) == 0, "memfd: %s", strerror(errno));
    unsigned char *writable = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    unsigned char *straight = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    unsigned char *turned = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    EXPECT(writable != MAP_FAILED && straight != MAP_FAILED && turned != MAP_FAILED, "mmap of a file: %s", strerror(errno));
    for (int i = 0; i < PAGES; i++)
        EXPECT(mmap(turned + i * PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, (PAGES - 1 - i) * PAGE) != MAP_FAILED, "mmap fixed");

    struct program program;
    unsigned char *where[OPS];
    for (int i = 0; i < 80; i++) {
        long offset = i & 1 ? PAGE - 1 - next_random(&seed) % 200 : next_random(&seed) % (PAGE - 320);
        choose(&program, &seed);
        size_t size = emit_program(writable + offset, &program, where);
        int fits = offset + size <= PAGE;
        for (int j = 0; j < 8; j++) {
            serialise();
            run_program(straight + offset, &program, next_random(&seed), "alias");
            if (fits)
                run_program(turned + (PAGES - 1) * PAGE + offset, &program, next_random(&seed), "other alias");
            patch(&program, where, &seed);
        }
    }
    munmap(writable, PAGES * PAGE);
    munmap(straight, PAGES * PAGE);
    munmap(turned, PAGES * PAGE);
    close(file);
}
