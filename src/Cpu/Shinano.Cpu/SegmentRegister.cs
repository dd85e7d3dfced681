using System.Runtime.InteropServices;

namespace Shinano.Cpu;

/// <summary>A segment register with its hidden part. Source: SDM 3A §3.4.3.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct SegmentRegister
{
    public ulong Base;

    /// <summary>Limit in bytes, granularity already applied.</summary>
    public uint Limit;
    public ushort Selector;

    /// <summary>Bits 8 to 23 of the descriptor's second word without the limit: type, S, DPL, P, AVL, L, D/B, G (SDM 3A figure 3-8).</summary>
    public ushort Attributes;

    /// <summary>Attribute bit L: 64-bit code.</summary>
    public const ushort LongMode = 1 << 13;

    /// <summary>Attribute bit D/B: 32-bit default size.</summary>
    public const ushort DefaultBig = 1 << 14;
}
