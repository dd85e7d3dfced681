using System.Runtime.CompilerServices;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Accesses that miss the look-aside tables: page walks, page crossing, writes into code frames, faults.</summary>
internal static unsafe class SlowAccess
{
    private const int PageSize = GuestMemory.PageSize;
    private const ulong PageMask = ~(ulong)(PageSize - 1);

    /// <summary>Whether bits 47 to 63 are equal (SDM 1 §3.3.7.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;

    /// <summary>Loads 1, 2, 4 or 8 bytes into <see cref="Core.SlowValue"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static bool Load(Core* c, Op* op, ulong address, int size)
    {
        byte* host = ReadPointer(c, op, address, size);
        if (host is null)
        {
            c->SlowValue = 0;
            return false;
        }

        c->SlowValue = size switch { 1 => *host, 2 => *(ushort*)host, 4 => *(uint*)host, _ => *(ulong*)host };
        return true;
    }

    /// <summary>Stores 1, 2, 4 or 8 bytes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static bool Store(Core* c, Op* op, ulong address, int size, ulong value)
    {
        byte* host = BeginUpdate(c, op, address, size);
        if (host is null)
        {
            return false;
        }

        switch (size)
        {
            case 1:
                *host = (byte)value;
                break;
            case 2:
                *(ushort*)host = (ushort)value;
                break;
            case 4:
                *(uint*)host = (uint)value;
                break;
            default:
                *(ulong*)host = value;
                break;
        }

        GuestAccess.EndUpdate(c);
        return true;
    }

    /// <inheritdoc cref="GuestAccess.ReadPointer"/>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static byte* ReadPointer(Core* c, Op* op, ulong address, int size)
    {
        if (c->Inspected != CarefulReasons.None && !CarefulStepper.Inspect(c, op, address, size, write: false))
        {
            return null;
        }

        ulong last = address + (ulong)(size - 1);
        if (((address ^ last) & PageMask) == 0)
        {
            return Translate(c, op, address, PageFaultErrors.None);
        }

        if (!IsCanonical(last))
        {
            // The whole operand's address is checked before any page is looked at.
            return Translate(c, op, last, PageFaultErrors.None);
        }

        byte* first = Translate(c, op, address, PageFaultErrors.None);
        byte* second = first is null ? null : Translate(c, op, last & PageMask, PageFaultErrors.None);
        if (second is null)
        {
            return null;
        }

        // SAFETY: size is at most ScratchSize, and each part lies in the page that was translated.
        int head = PageSize - (int)(address & (PageSize - 1));
        Unsafe.CopyBlockUnaligned(c->Scratch, first, (uint)head);
        Unsafe.CopyBlockUnaligned(c->Scratch + head, second, (uint)(size - head));
        return c->Scratch;
    }

    /// <inheritdoc cref="GuestAccess.BeginUpdate{TSize}"/>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static byte* BeginUpdate(Core* c, Op* op, ulong address, int size)
    {
        if (c->Inspected != CarefulReasons.None && !CarefulStepper.Inspect(c, op, address, size, write: true))
        {
            return null;
        }

        ulong last = address + (ulong)(size - 1);
        if (!IsCanonical(last))
        {
            return Translate(c, op, last, PageFaultErrors.Write);
        }

        byte* first = Translate(c, op, address, PageFaultErrors.Write);
        if (first is null)
        {
            return null;
        }

        ulong physical = c->LastPhysical;
        if (((address ^ last) & PageMask) == 0)
        {
            if (c->LastIsCode != 0)
            {
                c->Pending = WritePending.Announce;
                c->PendingPhysical = physical;
                c->PendingLength = size;
            }

            return first;
        }

        byte* second = Translate(c, op, last & PageMask, PageFaultErrors.Write);
        if (second is null)
        {
            return null;
        }

        c->Pending = WritePending.Split;
        if ((op->Flags & OpFlags.Lock) != 0)
        {
            // A locked operand across two pages is atomic only against others of its kind; no host instruction spans two unrelated pages.
            InterpreterCpu.Of(c).Engine.EnterSplitLock();
            c->Pending = WritePending.LockedSplit;
        }

        c->PendingPhysical = physical;
        c->PendingPhysical2 = c->LastPhysical;
        c->PendingHost = first;
        c->PendingHost2 = second;
        c->PendingLength = size;
        c->PendingLength1 = PageSize - (int)(address & (PageSize - 1));
        Unsafe.CopyBlockUnaligned(c->Scratch, first, (uint)c->PendingLength1);
        Unsafe.CopyBlockUnaligned(c->Scratch + c->PendingLength1, second, (uint)(size - c->PendingLength1));
        return c->Scratch;
    }

    /// <inheritdoc cref="GuestAccess.EndUpdate"/>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void FinishWrite(Core* c)
    {
        WritePending pending = c->Pending;
        c->Pending = WritePending.None;
        CodeCache code = InterpreterCpu.Of(c).Engine.Code;
        if (pending == WritePending.Announce)
        {
            c->CodeWrites++;
            code.CodeWritten(c->PendingPhysical, c->PendingLength);
            return;
        }

        int head = c->PendingLength1;
        int tail = c->PendingLength - head;
        Unsafe.CopyBlockUnaligned(c->PendingHost, c->Scratch, (uint)head);
        Unsafe.CopyBlockUnaligned(c->PendingHost2, c->Scratch + head, (uint)tail);
        if (pending == WritePending.LockedSplit)
        {
            InterpreterCpu.Of(c).Engine.LeaveSplitLock();
        }

        GuestMemory memory = code.Memory;
        memory.AnnounceWrite(c->PendingPhysical, head);
        memory.AnnounceWrite(c->PendingPhysical2, tail);
    }

    /// <summary>Translates one byte's address, fills the look-aside table, or prepares the fault.</summary>
    /// <returns>Host address, valid to the end of the page; null on a fault.</returns>
    public static byte* Translate(Core* c, Op* op, ulong address, PageFaultErrors access)
    {
        if (!IsCanonical(address))
        {
            bool stack = (op->Flags & OpFlags.Stack) != 0;
            FlowHandlers.Fault(c, op, stack ? ExceptionVector.StackFault : ExceptionVector.GeneralProtection, 0);
            return null;
        }

        if (!TryWalk(c, address, access, out byte* host, out PageFaultErrors error))
        {
            FlowHandlers.PageFault(c, op, address, error);
            return null;
        }

        return host;
    }

    /// <summary>Fills the look-aside tables for an access to a canonical address, without making a fault.</summary>
    /// <returns>False when the access faults, or writes to a page with code.</returns>
    public static bool TryEnter(Core* c, ulong address, bool write) =>
        TryWalk(c, address, write ? PageFaultErrors.Write : PageFaultErrors.None, out _, out _) && (!write || c->LastIsCode == 0);

    private static bool TryWalk(Core* c, ulong address, PageFaultErrors access, out byte* host, out PageFaultErrors error)
    {
        InterpreterCpu cpu = InterpreterCpu.Of(c);
        GuestMemory memory = cpu.Engine.Memory;
        host = null;
        c->TlbMisses++;
        if (!PageWalker.TryTranslate(memory, cpu.WalkContext(), address, access, out PageWalker.Translation found, out error, cpu.Walks)
            || !memory.TryGetHost(found.Physical, 1, out host))
        {
            return false;
        }

        if (found.PageShift != GuestMemory.PageShift)
        {
            c->LargePageSeen = 1;
        }

        if (c->Careful == 0)
        {
            LookAsideTables.Enter(c, GuestAccess.ReadEntry(c, address), address, host);
        }

        if (access == PageFaultErrors.Write)
        {
            c->LastPhysical = found.Physical;
            memory.NoteGuestWrite(found.Physical >> GuestMemory.PageShift);
            bool code = !cpu.Engine.Code.NoteWritable(found.Physical >> GuestMemory.PageShift);
            c->LastIsCode = code ? 1 : 0;
            if (!code && c->Careful == 0)
            {
                LookAsideTables.Enter(c, GuestAccess.WriteEntry(c, address), address, host);
            }
        }

        return true;
    }

    /// <summary>Copies bytes in; at most <see cref="Core.ScratchSize"/>.</summary>
    public static bool CopyIn(Core* c, Op* op, ulong address, byte* destination, int length)
    {
        byte* source = GuestAccess.ReadPointer(c, op, address, length);
        if (source is null)
        {
            return false;
        }

        Unsafe.CopyBlockUnaligned(destination, source, (uint)length);
        return true;
    }
}
