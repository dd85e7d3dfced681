using System.Numerics;
using System.Runtime.CompilerServices;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>The arithmetic flags in the lazy form of <see cref="Core.FlagZero"/>, and their way to and from RFLAGS.</summary>
internal static unsafe class ArithmeticFlags
{
    private const ulong Top = 1UL << 63;
    private const ulong AdjustCarry = 1 << 3;

    /// <summary>After an addition or subtraction.</summary>
    /// <param name="result">The result; bits above the size do not matter.</param>
    /// <param name="carries">Bit i is the carry (or borrow) out of bit i.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<TSize>(Core* c, ulong result, ulong carries)
        where TSize : struct, IOperandSize
    {
        ulong extended = TSize.SignExtend(result);
        c->FlagZero = extended;
        c->FlagSign = extended;
        c->FlagCarries = TSize.Bytes == 8 ? carries : (carries << (64 - (8 * TSize.Bytes))) | (carries & AdjustCarry);
    }

    /// <summary>After a logical operation: CF, OF and AF are 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetLogic<TSize>(Core* c, ulong result)
        where TSize : struct, IOperandSize
    {
        ulong extended = TSize.SignExtend(result);
        c->FlagZero = extended;
        c->FlagSign = extended;
        c->FlagCarries = 0;
    }

    /// <summary>ZF, SF and PF from a result; CF and OF as given (0 or 1); AF is 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetResult<TSize>(Core* c, ulong result, ulong carry, ulong overflow)
        where TSize : struct, IOperandSize
    {
        ulong extended = TSize.SignExtend(result);
        c->FlagZero = extended;
        c->FlagSign = extended;
        c->FlagCarries = (carry << 63) | ((carry ^ overflow) << 62);
    }

    /// <summary>CF and OF as given (0 or 1), the others as they were.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarryOverflow(Core* c, ulong carry, ulong overflow) =>
        c->FlagCarries = (c->FlagCarries & AdjustCarry) | (carry << 63) | ((carry ^ overflow) << 62);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Carry(Core* c) => c->FlagCarries >> 63;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Overflow(Core* c) => (c->FlagCarries ^ (c->FlagCarries << 1)) >> 63;

    /// <summary>CF as given (0 or 1), the others as they were.</summary>
    public static void SetCarry(Core* c, ulong carry) => SetCarryOverflow(c, carry, Overflow(c));

    /// <summary>ZF as given, the others as they were.</summary>
    public static void SetZero(Core* c, bool zero) => c->FlagZero = zero ? 0UL : 1;

    /// <summary>The six flags at their places in RFLAGS.</summary>
    public static ulong Read(Core* c)
    {
        ulong flags = Carry(c) | (Overflow(c) << 11) | ((c->FlagCarries & AdjustCarry) << 1) | ((c->FlagSign >> 63) << 7);
        if (c->FlagZero == 0)
        {
            flags |= Rflags.Zero;
        }

        if ((BitOperations.PopCount((byte)c->FlagSign) & 1) == 0)
        {
            flags |= Rflags.Parity;
        }

        return flags;
    }

    /// <summary>Takes the six flags from their places in RFLAGS.</summary>
    public static void Write(Core* c, ulong rflags)
    {
        ulong carry = rflags & 1;
        ulong overflow = (rflags >> 11) & 1;
        c->FlagZero = (rflags & Rflags.Zero) != 0 ? 0UL : 1;
        c->FlagSign = ((rflags & Rflags.Sign) != 0 ? Top : 0) | ((rflags & Rflags.Parity) != 0 ? 0UL : 1);
        c->FlagCarries = (carry << 63) | ((carry ^ overflow) << 62) | ((rflags & Rflags.Adjust) >> 1);
    }

    /// <summary>RFLAGS with the arithmetic flags filled in.</summary>
    public static ulong ReadAll(Core* c) => (c->Cpu.Rflags & ~Rflags.Arithmetic) | Rflags.AlwaysOne | Read(c);
}
