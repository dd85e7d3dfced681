using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>How a linear address is computed, as a type.</summary>
internal unsafe interface IAddressForm
{
    static abstract ulong Compute(Core* c, Op* op);
}

/// <summary>Base register (or RIP, or nothing) and displacement.</summary>
internal unsafe struct BaseForm : IAddressForm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Compute(Core* c, Op* op) => ((ulong*)c)[op->Base] + (ulong)op->Disp;
}

/// <summary>Base, scaled index and displacement.</summary>
internal unsafe struct IndexForm : IAddressForm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Compute(Core* c, Op* op) =>
        ((ulong*)c)[op->Base] + (((ulong*)c)[op->Index] << op->Scale) + (ulong)op->Disp;
}

/// <summary>Every part: segment base and 32-bit addresses too.</summary>
internal unsafe struct FullForm : IAddressForm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Compute(Core* c, Op* op) => Offset(c, op) + ((ulong*)c)[op->Segment];

    /// <summary>The effective address: without the segment's base.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Offset(Core* c, Op* op)
    {
        ulong address = ((ulong*)c)[op->Base] + (((ulong*)c)[op->Index] << op->Scale) + (ulong)op->Disp;
        return (op->Flags & OpFlags.Address32) != 0 ? (uint)address : address;
    }
}
