using System.Numerics;
using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>A condition of Jcc, SETcc and CMOVcc as a type (SDM 1 appendix B).</summary>
internal unsafe interface ICondition
{
    static abstract bool Test(Core* c);
}

internal unsafe struct WhenOverflow : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => (long)(c->FlagCarries ^ (c->FlagCarries << 1)) < 0;
}

internal unsafe struct WhenBelow : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => (long)c->FlagCarries < 0;
}

internal unsafe struct WhenEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => c->FlagZero == 0;
}

internal unsafe struct WhenBelowOrEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => c->FlagZero == 0 || (long)c->FlagCarries < 0;
}

internal unsafe struct WhenSign : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => (long)c->FlagSign < 0;
}

internal unsafe struct WhenParity : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => (BitOperations.PopCount((byte)c->FlagSign) & 1) == 0;
}

internal unsafe struct WhenLess : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => (long)(c->FlagSign ^ c->FlagCarries ^ (c->FlagCarries << 1)) < 0;
}

internal unsafe struct WhenLessOrEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => c->FlagZero == 0 || WhenLess.Test(c);
}

/// <summary>The opposite of a condition.</summary>
internal unsafe struct Unless<TCondition> : ICondition
    where TCondition : struct, ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(Core* c) => !TCondition.Test(c);
}
