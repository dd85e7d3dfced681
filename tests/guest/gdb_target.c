/* What gdb works on in a guest; see gdb_commands. The same executable and the same commands give the same answers on the host. */
volatile long counter, table[8];

__attribute__((noinline)) long add(long value)
{
    counter += value;
    return counter * 3;
}

__attribute__((noinline)) void stepped(void)
{
    for (long i = 0; i < 40; i++)
        table[i & 7] ^= add(i) << (i & 3);
}

int main(void)
{
    for (long i = 1; i <= 5; i++)
        table[i] = add(i);
    stepped();
    return counter & 0x7f;
}
