using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>A two-operand arithmetic or logical operation as a type: sets the flags, returns the result (higher bits do not matter).</summary>
internal unsafe interface IAluOperation
{
    /// <summary>False for CMP and TEST, which only set flags.</summary>
    static abstract bool Writes { get; }

    static abstract ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize;
}

internal unsafe struct AddOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong result = a + b;
        ArithmeticFlags.Set<TSize>(c, result, (a & b) | ((a | b) & ~result));
        return result;
    }
}

internal unsafe struct AdcOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong result = a + b + ArithmeticFlags.Carry(c);
        ArithmeticFlags.Set<TSize>(c, result, (a & b) | ((a | b) & ~result));
        return result;
    }
}

internal unsafe struct SubOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong result = a - b;
        ArithmeticFlags.Set<TSize>(c, result, (~a & b) | ((~a | b) & result));
        return result;
    }
}

internal unsafe struct SbbOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong result = a - b - ArithmeticFlags.Carry(c);
        ArithmeticFlags.Set<TSize>(c, result, (~a & b) | ((~a | b) & result));
        return result;
    }
}

internal unsafe struct CmpOperation : IAluOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize => SubOperation.Apply<TSize>(c, a, b);
}

internal unsafe struct AndOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ArithmeticFlags.SetLogic<TSize>(c, a & b);
        return a & b;
    }
}

internal unsafe struct TestOperation : IAluOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize => AndOperation.Apply<TSize>(c, a, b);
}

internal unsafe struct OrOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ArithmeticFlags.SetLogic<TSize>(c, a | b);
        return a | b;
    }
}

internal unsafe struct XorOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ArithmeticFlags.SetLogic<TSize>(c, a ^ b);
        return a ^ b;
    }
}

/// <summary>INC: as ADD 1, CF unchanged.</summary>
internal unsafe struct IncOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong before = c->FlagCarries;
        ulong result = AddOperation.Apply<TSize>(c, a, 1);
        KeepCarry(c, before);
        return result;
    }

    /// <summary>Puts the old CF back: flipping the two top bits together leaves OF alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void KeepCarry(Core* c, ulong before)
    {
        ulong differs = (c->FlagCarries ^ before) & (1UL << 63);
        c->FlagCarries ^= differs | (differs >> 1);
    }
}

/// <summary>DEC: as SUB 1, CF unchanged.</summary>
internal unsafe struct DecOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize
    {
        ulong before = c->FlagCarries;
        ulong result = SubOperation.Apply<TSize>(c, a, 1);
        IncOperation.KeepCarry(c, before);
        return result;
    }
}

/// <summary>NEG: 0 - a.</summary>
internal unsafe struct NegOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize => SubOperation.Apply<TSize>(c, 0, a);
}

/// <summary>NOT: no flags.</summary>
internal unsafe struct NotOperation : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TSize>(Core* c, ulong a, ulong b)
        where TSize : struct, IOperandSize => ~a;
}
