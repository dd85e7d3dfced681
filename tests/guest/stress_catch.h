/* Catching a signal with everything that is known of it, and emitting code. See stress_catch.c. */
#ifndef SHINANO_STRESS_CATCH_H
#define SHINANO_STRESS_CATCH_H

#include "stress.h"
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

enum { PAGE = 4096, RESUME_FLAG = 0x10000, ALIGNMENT_FLAG = 0x40000 };

struct caught {
    int count, signal, code;
    uint64_t address;
    uint64_t registers[NGREG];
    unsigned mxcsr, status;
    unsigned char xmm[16][16];
};

extern __thread volatile struct caught caught;
extern __thread sigjmp_buf caught_jump;

/* Handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP that fill `caught` and jump out of the code; on a stack of their own. */
void catch_begin(void);
void catch_end(void);

/* The same for a further thread, which has an alternate signal stack of its own. */
void catch_begin_thread(void);
void catch_end_thread(void);

/* Runs a statement up to its end or its first signal. */
#define CATCH(statement) \
    do { \
        caught.count = 0; \
        if (!sigsetjmp(caught_jump, 1)) { \
            statement; \
        } \
    } while (0)

#define CAUGHT(register_name) caught.registers[REG_##register_name]

/* Bytes behind a moving pointer. */
static inline unsigned char *put(unsigned char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static inline unsigned char *put8(unsigned char *at, unsigned value)
{
    *at = value;
    return at + 1;
}

static inline unsigned char *put32(unsigned char *at, uint32_t value)
{
    return put(at, &value, 4);
}

static inline unsigned char *put64(unsigned char *at, uint64_t value)
{
    return put(at, &value, 8);
}

#define PUT(at, ...) \
    do { \
        static const unsigned char bytes_[] = { __VA_ARGS__ }; \
        (at) = put((at), bytes_, sizeof bytes_); \
    } while (0)

/* mov $value, %eax; ret: 6 bytes. */
static inline unsigned char *put_return(unsigned char *at, uint32_t value)
{
    at = put8(at, 0xb8);
    at = put32(at, value);
    return put8(at, 0xc3);
}

static inline uint32_t call_at(const void *code)
{
    return ((uint32_t (*)(void))code)();
}

/* What a thread does before it runs code that another one changed (SDM 3A 9.1.3). */
static inline void serialise(void)
{
    unsigned a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

/* Fresh pages, readable, writable and executable. */
unsigned char *code_pages(size_t pages);

#endif
