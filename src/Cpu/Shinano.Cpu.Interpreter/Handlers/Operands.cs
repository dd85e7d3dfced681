using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Operand access of the general handlers, which serve register and memory forms alike.</summary>
internal static unsafe class Operands
{
    /// <summary>A register's address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Register(Core* c, byte offset) => (byte*)c + offset;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get<TSize>(Core* c, byte offset)
        where TSize : struct, IOperandSize => TSize.Load((byte*)c + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<TSize>(Core* c, byte offset, ulong value)
        where TSize : struct, IOperandSize => TSize.Write((byte*)c + offset, value);

    /// <summary>Reads the r/m operand, which as a register is <see cref="Op.R0"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Read0<TSize>(Core* c, Op* op, out ulong value)
        where TSize : struct, IOperandSize => Read<TSize>(c, op, op->R0, out value);

    /// <summary>Reads the r/m operand, which as a register is <see cref="Op.R1"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Read1<TSize>(Core* c, Op* op, out ulong value)
        where TSize : struct, IOperandSize => Read<TSize>(c, op, op->R1, out value);

    /// <summary>Reads the memory operand, or else a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Read<TSize>(Core* c, Op* op, byte register, out ulong value)
        where TSize : struct, IOperandSize
    {
        if ((op->Flags & OpFlags.Memory) == 0)
        {
            value = TSize.Load((byte*)c + register);
            return true;
        }

        return GuestAccess.Load<TSize>(c, op, FullForm.Compute(c, op), out value);
    }

    /// <summary>Writes the memory operand, or else the register <see cref="Op.R0"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Write0<TSize>(Core* c, Op* op, ulong value)
        where TSize : struct, IOperandSize
    {
        if ((op->Flags & OpFlags.Memory) == 0)
        {
            TSize.Write((byte*)c + op->R0, value);
            return true;
        }

        return GuestAccess.Store<TSize>(c, op, FullForm.Compute(c, op), value);
    }

    /// <summary>Begins a read-modify-write of the operand that is memory or <see cref="Op.R0"/>.</summary>
    /// <returns>A pointer to the operand, or null when it faulted.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Begin0<TSize>(Core* c, Op* op)
        where TSize : struct, IOperandSize =>
        (op->Flags & OpFlags.Memory) == 0
            ? (byte*)c + op->R0
            : GuestAccess.BeginUpdate<TSize>(c, op, FullForm.Compute(c, op));

    /// <summary>Ends a read-modify-write: stores the result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void End0<TSize>(Core* c, Op* op, byte* place, ulong value)
        where TSize : struct, IOperandSize
    {
        if ((op->Flags & OpFlags.Memory) == 0)
        {
            TSize.Write(place, value);
        }
        else
        {
            TSize.Store(place, value);
            GuestAccess.EndUpdate(c);
        }
    }
}
