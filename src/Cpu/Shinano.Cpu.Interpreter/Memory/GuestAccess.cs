using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Data accesses of handlers: the look-aside hit inline, everything else in <see cref="SlowAccess"/>.</summary>
/// <remarks>
/// The tag compare covers page crossing as well; see <see cref="TlbEntry.NegatedTag"/>.
/// SAFETY: an entry maps a whole page of guest memory (<see cref="SlowAccess"/> alone makes entries), and a hit means that the operand lies in it.
/// </remarks>
internal static unsafe class GuestAccess
{
    private const ulong PageSize = 0x1000;

    /// <summary>Whether a load would hit; then the operand's place.</summary>
    /// <remarks>
    /// The hottest handlers use the two Hit methods and leave a miss to a second method as a tail call: so they need no stack frame and no saved registers.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HitRead<TSize>(Core* c, ulong address, out byte* place)
        where TSize : struct, IOperandSize
    {
        TlbEntry* entry = ReadEntry(c, address);
        place = (byte*)(address + entry->Addend);
        return address + entry->NegatedTag <= PageSize - (ulong)TSize.Bytes;
    }

    /// <summary>Whether a store would hit; then the operand's place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HitWrite<TSize>(Core* c, ulong address, out byte* place)
        where TSize : struct, IOperandSize
    {
        TlbEntry* entry = WriteEntry(c, address);
        place = (byte*)(address + entry->Addend);
        return address + entry->NegatedTag <= PageSize - (ulong)TSize.Bytes;
    }

    /// <summary>Loads an operand, zero-extended.</summary>
    /// <returns>False when it faulted; the exit is prepared.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load<TSize>(Core* c, Op* op, ulong address, out ulong value)
        where TSize : struct, IOperandSize
    {
        TlbEntry* entry = ReadEntry(c, address);
        if (address + entry->NegatedTag <= PageSize - (ulong)TSize.Bytes)
        {
            value = TSize.Load((byte*)(address + entry->Addend));
            return true;
        }

        bool done = SlowAccess.Load(c, op, address, TSize.Bytes);
        value = c->SlowValue;
        return done;
    }

    /// <summary>Stores an operand.</summary>
    /// <returns>False when it faulted; the exit is prepared and nothing was written.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store<TSize>(Core* c, Op* op, ulong address, ulong value)
        where TSize : struct, IOperandSize
    {
        TlbEntry* entry = WriteEntry(c, address);
        if (address + entry->NegatedTag <= PageSize - (ulong)TSize.Bytes)
        {
            TSize.Store((byte*)(address + entry->Addend), value);
            return true;
        }

        return SlowAccess.Store(c, op, address, TSize.Bytes, value);
    }

    /// <summary>
    /// A pointer through which an operand may be read and written, or null when it faulted. It may be a staging area: call
    /// <see cref="EndUpdate"/> after the write.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* BeginUpdate<TSize>(Core* c, Op* op, ulong address)
        where TSize : struct, IOperandSize => BeginUpdate(c, op, address, TSize.Bytes);

    /// <inheritdoc cref="BeginUpdate{TSize}"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* BeginUpdate(Core* c, Op* op, ulong address, int size)
    {
        TlbEntry* entry = WriteEntry(c, address);
        if (address + entry->NegatedTag <= PageSize - (ulong)size)
        {
            return (byte*)(address + entry->Addend);
        }

        return SlowAccess.BeginUpdate(c, op, address, size);
    }

    /// <summary>Completes what <see cref="BeginUpdate{TSize}"/> began; to be called also when nothing was written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void EndUpdate(Core* c)
    {
        if (c->Pending != WritePending.None)
        {
            SlowAccess.FinishWrite(c);
        }
    }

    /// <summary>A pointer to an operand for reading, or null when it faulted; a copy in the staging area when it crosses a page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* ReadPointer(Core* c, Op* op, ulong address, int size)
    {
        TlbEntry* entry = ReadEntry(c, address);
        if (address + entry->NegatedTag <= PageSize - (ulong)size)
        {
            return (byte*)(address + entry->Addend);
        }

        return SlowAccess.ReadPointer(c, op, address, size);
    }

    /// <summary>The entry of the current context's read table that an address belongs to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ReadEntry(Core* c, ulong address) => (TlbEntry*)(c->DataTables + Offset(address));

    /// <summary>The entry of the current context's write table that an address belongs to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* WriteEntry(Core* c, ulong address) => (TlbEntry*)(c->DataTables + Core.TableBytes + Offset(address));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Offset(ulong address) => (address >> (12 - TlbEntry.Shift)) & ((Core.TlbEntries - 1) << TlbEntry.Shift);
}
