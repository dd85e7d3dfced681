namespace Shinano.X86;

/// <summary>RFLAGS bits. Source: SDM 1 §3.4.3.</summary>
public static class Rflags
{
    public const ulong Carry = 1UL << 0;

    /// <summary>Bit 1, always one.</summary>
    public const ulong AlwaysOne = 1UL << 1;
    public const ulong Parity = 1UL << 2;
    public const ulong Adjust = 1UL << 4;
    public const ulong Zero = 1UL << 6;
    public const ulong Sign = 1UL << 7;
    public const ulong Trap = 1UL << 8;
    public const ulong Interrupt = 1UL << 9;
    public const ulong Direction = 1UL << 10;
    public const ulong Overflow = 1UL << 11;
    public const ulong IoPrivilege = 3UL << 12;
    public const ulong NestedTask = 1UL << 14;
    public const ulong Resume = 1UL << 16;
    public const ulong Virtual8086 = 1UL << 17;
    public const ulong AlignmentCheck = 1UL << 18;
    public const ulong VirtualInterrupt = 1UL << 19;
    public const ulong VirtualInterruptPending = 1UL << 20;
    public const ulong Identification = 1UL << 21;

    /// <summary>CF, PF, AF, ZF, SF and OF.</summary>
    public const ulong Arithmetic = Carry | Parity | Adjust | Zero | Sign | Overflow;
}
