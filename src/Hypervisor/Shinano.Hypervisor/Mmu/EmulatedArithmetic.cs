using System.Numerics;
using Iced.Intel;
using Shinano.X86;

namespace Shinano.Hypervisor.Mmu;

/// <summary>What an instruction with a memory destination makes of the old value, and the flags it leaves. Source: SDM 2, the instructions' pages.</summary>
internal static class EmulatedArithmetic
{
    /// <summary>The new value of the destination.</summary>
    /// <param name="mnemonic">The instruction; CMPXCHG is not for here.</param>
    /// <param name="size">Operand size in bytes.</param>
    /// <param name="old">The destination's value, zero-extended.</param>
    /// <param name="source">The other operand, zero-extended or sign-extended.</param>
    /// <param name="flags">RFLAGS before; afterwards as the instruction leaves them.</param>
    /// <returns>False when the instruction is none of those that guests write page tables with.</returns>
    public static bool TryCompute(Mnemonic mnemonic, int size, ulong old, ulong source, ref ulong flags, out ulong value)
    {
        ulong mask = Mask(size);
        source &= mask;
        ulong carryIn = flags & Rflags.Carry;
        switch (mnemonic)
        {
            case Mnemonic.Mov or Mnemonic.Movnti or Mnemonic.Xchg:
                value = source;
                return true;
            case Mnemonic.And:
                value = old & source;
                flags = Logical(flags, value, size);
                return true;
            case Mnemonic.Or:
                value = old | source;
                flags = Logical(flags, value, size);
                return true;
            case Mnemonic.Xor:
                value = old ^ source;
                flags = Logical(flags, value, size);
                return true;
            case Mnemonic.Add or Mnemonic.Xadd:
                value = (old + source) & mask;
                flags = Sum(flags, old, source, value, size);
                return true;
            case Mnemonic.Adc:
                value = (old + source + carryIn) & mask;
                flags = Sum(flags, old, source, value, size);
                return true;
            case Mnemonic.Sub:
                value = (old - source) & mask;
                flags = Difference(flags, old, source, value, size);
                return true;
            case Mnemonic.Sbb:
                value = (old - source - carryIn) & mask;
                flags = Difference(flags, old, source, value, size);
                return true;
            case Mnemonic.Inc:
                value = (old + 1) & mask;
                flags = (Sum(flags, old, 1, value, size) & ~Rflags.Carry) | carryIn;
                return true;
            case Mnemonic.Dec:
                value = (old - 1) & mask;
                flags = (Difference(flags, old, 1, value, size) & ~Rflags.Carry) | carryIn;
                return true;
            case Mnemonic.Neg:
                value = (0 - old) & mask;
                flags = Difference(flags, 0, old, value, size);
                return true;
            case Mnemonic.Not:
                value = ~old & mask;
                return true;
            case Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                ulong bit = 1UL << (int)(source & (((ulong)size * 8) - 1));
                value = mnemonic switch
                {
                    Mnemonic.Bts => old | bit,
                    Mnemonic.Btr => old & ~bit,
                    _ => old ^ bit,
                };
                flags = (flags & ~Rflags.Carry) | ((old & bit) != 0 ? Rflags.Carry : 0);
                return true;
            default:
                value = 0;
                return false;
        }
    }

    /// <summary>Flags of the comparison in CMPXCHG: accumulator minus destination.</summary>
    public static ulong Compare(ulong flags, ulong accumulator, ulong destination, int size) =>
        Difference(flags, accumulator, destination, (accumulator - destination) & Mask(size), size);

    /// <summary>The bits of an operand.</summary>
    public static ulong Mask(int size) => size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;

    private static ulong Logical(ulong flags, ulong result, int size) => (flags & ~Rflags.Arithmetic) | ResultFlags(result, size);

    private static ulong Sum(ulong flags, ulong left, ulong right, ulong result, int size)
    {
        ulong carries = (left & right) | ((left | right) & ~result);
        ulong overflow = (left ^ result) & (right ^ result);
        return Combine(flags, left, right, result, carries, overflow, size);
    }

    private static ulong Difference(ulong flags, ulong left, ulong right, ulong result, int size)
    {
        ulong borrows = (~left & right) | ((~left | right) & result);
        ulong overflow = (left ^ right) & (left ^ result);
        return Combine(flags, left, right, result, borrows, overflow, size);
    }

    private static ulong Combine(ulong flags, ulong left, ulong right, ulong result, ulong carries, ulong overflow, int size)
    {
        int sign = (size * 8) - 1;
        return (flags & ~Rflags.Arithmetic)
            | ResultFlags(result, size)
            | ((carries >> sign & 1) != 0 ? Rflags.Carry : 0)
            | ((overflow >> sign & 1) != 0 ? Rflags.Overflow : 0)
            | ((left ^ right ^ result) & Rflags.Adjust);
    }

    private static ulong ResultFlags(ulong result, int size) =>
        (result == 0 ? Rflags.Zero : 0)
        | ((result >> ((size * 8) - 1) & 1) != 0 ? Rflags.Sign : 0)
        | ((BitOperations.PopCount((byte)result) & 1) == 0 ? Rflags.Parity : 0);
}
