using System.Runtime.InteropServices;

namespace Shinano.Cpu;

/// <summary>
/// Everything a vCPU is, as one block of plain memory that emitted code, engines and save files share. <see cref="RegisterTable"/> names each field;
/// a test holds the two together. Lives at a fixed, 64-byte-aligned native address; owned by the vCPU's thread while it runs.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct CpuState
{
    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the encoding's order.</summary>
    public fixed ulong Gpr[16];
    public ulong Rip;

    /// <summary>RFLAGS; complete at every exit (an engine may keep the arithmetic flags elsewhere while it runs).</summary>
    public ulong Rflags;

    /// <summary>ES, CS, SS, DS, FS, GS: the encoding's order.</summary>
    public SegmentRegister Es;
    public SegmentRegister Cs;
    public SegmentRegister Ss;
    public SegmentRegister Ds;
    public SegmentRegister Fs;
    public SegmentRegister Gs;
    public SegmentRegister Ldtr;
    public SegmentRegister Tr;
    public SegmentRegister Gdtr;
    public SegmentRegister Idtr;
    public ulong Cr0;
    public ulong Cr2;
    public ulong Cr3;
    public ulong Cr4;
    public ulong Cr8;
    public ulong Efer;
    public ulong Xcr0;
    public fixed ulong Dr[8];
    public ulong KernelGsBase;
    public ulong Star;
    public ulong Lstar;
    public ulong Cstar;
    public ulong SfMask;
    public ulong SysenterCs;
    public ulong SysenterEsp;
    public ulong SysenterEip;
    public ulong Pat;
    public ulong ApicBase;

    /// <summary>Added to the host's TSC for RDTSC, in ticks.</summary>
    public ulong TscOffset;
    public ulong TscAux;

    /// <summary>
    /// Which translation look-aside set the next instruction uses: 0 for kernel, 1 for user. An engine sets it from the CPL; for a PV guest, whose two
    /// modes both run at CPL 3 with roots of their own, the hypervisor sets it together with <see cref="Cr3"/>.
    /// </summary>
    public ulong TranslationContext;

    /// <summary>Current privilege level, 0 to 3.</summary>
    public ulong Cpl;

    /// <summary>Non-zero: interrupts and debug traps are held off for one instruction (after MOV SS, POP SS, STI). SDM 3A §6.8.3.</summary>
    public ulong InterruptShadow;
    private fixed ulong _padding[4];

    /// <summary>The XSAVE area in standard format: legacy region (512 bytes), header (64), AVX state (256). Source: SDM 1 §13.4.</summary>
    public fixed byte Xsave[XsaveSize];

    public const int XsaveSize = 832;

    /// <summary>Offset of MXCSR in the XSAVE area.</summary>
    public const int MxcsrOffset = 24;

    /// <summary>Offset of ST0 in the XSAVE area; 16 bytes per register.</summary>
    public const int StOffset = 32;

    /// <summary>Offset of XMM0 in the XSAVE area; 16 bytes per register.</summary>
    public const int XmmOffset = 160;

    /// <summary>Offset of XSTATE_BV.</summary>
    public const int XstateBvOffset = 512;

    /// <summary>Offset of the upper half of YMM0 in the XSAVE area; 16 bytes per register.</summary>
    public const int YmmHighOffset = 576;
}
