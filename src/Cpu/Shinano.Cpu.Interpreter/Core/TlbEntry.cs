using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>One entry of a data look-aside table. Emitted code knows the offsets.</summary>
[StructLayout(LayoutKind.Sequential, Size = 1 << Shift)]
internal unsafe struct TlbEntry
{
    /// <summary>Logarithm of an entry's bytes.</summary>
    public const int Shift = 5;

    /// <summary>
    /// Minus the linear page address, so that adding an address gives its offset in the page: an operand of n bytes lies in the page when the unsigned sum is
    /// at most 4096 - n. One compare for presence and page crossing. An empty entry has the page of another slot (<see cref="EmptyTag"/>).
    /// </summary>
    public ulong NegatedTag;

    /// <summary>Host address minus linear address.</summary>
    public ulong Addend;

    /// <summary>Host address of the page; null in an empty entry.</summary>
    public byte* HostPage;

    /// <summary>Offset of <see cref="NegatedTag"/>.</summary>
    public const int TagOffset = 0;

    /// <summary>Offset of <see cref="Addend"/>.</summary>
    public const int AddendOffset = 8;

    /// <summary>Offset of <see cref="HostPage"/>.</summary>
    public const int HostPageOffset = 16;

    /// <summary>A tag that no operand matches whose first byte has this slot's index: it names a page of a slot that is not even a neighbour.</summary>
    public static ulong EmptyTag(ulong slot) => 0UL - ((slot ^ (Core.TlbEntries / 2)) << 12);
}
