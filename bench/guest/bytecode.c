/* An interpreter of bytecode: an indirect jump for each operation, and registers in memory. */
#include "bench.h"

enum operation { ADD, SUBTRACT, MULTIPLY, XOR, SHIFT, LOAD, STORE, LOAD_IMMEDIATE, JUMP_LESS, JUMP_ODD, STOP };

struct instruction {
    uint8_t operation, to, from, other;
    int32_t immediate;
};

/* r1 counts to r2 while r3..r5 run a small mixture through the array. */
static const struct instruction program[] = {
    { LOAD_IMMEDIATE, 1, 0, 0, 0 },
    { LOAD_IMMEDIATE, 2, 0, 0, 20000 },
    { LOAD_IMMEDIATE, 6, 0, 0, 1 },
    { LOAD_IMMEDIATE, 7, 0, 0, 31 },
    { MULTIPLY, 3, 3, 7, 0 }, /* 4: the loop */
    { ADD, 3, 3, 1, 0 },
    { SHIFT, 4, 3, 0, 5 },
    { XOR, 5, 3, 4, 0 },
    { JUMP_ODD, 0, 5, 0, 11 },
    { LOAD, 4, 5, 0, 0 },
    { SUBTRACT, 3, 3, 4, 0 },
    { STORE, 3, 5, 0, 0 }, /* 11 */
    { ADD, 1, 1, 6, 0 },
    { JUMP_LESS, 0, 1, 2, 4 },
    { STOP, 0, 0, 0, 0 },
};

static uint64_t execute(uint64_t *registers, uint64_t *array, uint64_t size)
{
    for (const struct instruction *i = program;; i++) {
        switch ((enum operation)i->operation) {
        case ADD: registers[i->to] = registers[i->from] + registers[i->other]; break;
        case SUBTRACT: registers[i->to] = registers[i->from] - registers[i->other]; break;
        case MULTIPLY: registers[i->to] = registers[i->from] * registers[i->other]; break;
        case XOR: registers[i->to] = registers[i->from] ^ registers[i->other]; break;
        case SHIFT: registers[i->to] = registers[i->from] >> i->immediate; break;
        case LOAD: registers[i->to] = array[registers[i->from] % size]; break;
        case STORE: array[registers[i->from] % size] = registers[i->to]; break;
        case LOAD_IMMEDIATE: registers[i->to] = (uint64_t)(int64_t)i->immediate; break;
        case JUMP_LESS:
            if (registers[i->from] < registers[i->other])
                i = program + i->immediate - 1;
            break;
        case JUMP_ODD:
            if (registers[i->from] & 1)
                i = program + i->immediate - 1;
            break;
        case STOP: return registers[3];
        }
    }
}

uint64_t run_bytecode(unsigned long amount)
{
    static uint64_t array[1024];
    uint64_t registers[8] = { [3] = 12345 }, sum = MIX_START;
    for (unsigned long unit = 0; unit < amount; unit++)
        sum = mix(sum, execute(registers, array, 1024));
    return sum;
}
