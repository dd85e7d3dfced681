using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>An initial state of the machine and the code to run from it; or, copied and run, the final one.</summary>
internal sealed class MachineCase
{
    /// <summary>Linear address of the one page of code, filled with INT3 behind and before the instructions.</summary>
    public const ulong CodeBase = 0x1000_0000;

    /// <summary>Linear address of the data pages; the pages around them are absent.</summary>
    public const ulong DataBase = 0x2000_0000;

    public const int PageSize = 4096;
    public const int DataPages = 3;
    public const int DataSize = PageSize * DataPages;
    public const int MaximumCode = 128;

    /// <summary>In the encoding's order.</summary>
    public ulong[] Gpr { get; } = new ulong[16];

    public ulong Rip { get; set; } = CodeBase;

    public ulong Rflags { get; set; } = 0x202;

    public ulong FsBase { get; set; }

    public ulong GsBase { get; set; }

    public byte[] Xsave { get; } = new byte[CpuState.XsaveSize];

    public byte[] Memory { get; } = new byte[DataSize];

    /// <summary>What the third data page allows.</summary>
    public LastPage LastPage { get; set; } = LastPage.Writable;

    /// <summary>The instructions, from <see cref="CodeOffset"/> in the code page.</summary>
    public byte[] Code { get; set; } = [];

    public int CodeOffset { get; set; } = 0x800;

    public IReadOnlyList<Instruction> Instructions { get; set; } = [];

    /// <summary>Afterwards: the vector that ended it; 3 for the INT3 behind the code.</summary>
    public ulong Vector { get; set; }

    public ulong ErrorCode { get; set; }

    /// <summary>Afterwards: the address of a page fault.</summary>
    public ulong Cr2 { get; set; }

    /// <summary>A deep copy.</summary>
    public MachineCase Clone()
    {
        MachineCase copy = new()
        {
            Rip = Rip,
            Rflags = Rflags,
            FsBase = FsBase,
            GsBase = GsBase,
            LastPage = LastPage,
            Code = Code,
            CodeOffset = CodeOffset,
            Instructions = Instructions,
        };
        Gpr.CopyTo(copy.Gpr, 0);
        Xsave.CopyTo(copy.Xsave, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }
}
