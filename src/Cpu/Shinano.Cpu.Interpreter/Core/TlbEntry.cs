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

    /// <summary>A tag that no address with this slot's index matches.</summary>
    public static ulong EmptyTag(ulong slot) => slot == 0 ? unchecked(0UL - 0x1000) : 0;
}
