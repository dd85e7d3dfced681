using System.Runtime.InteropServices;
using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Makes cases from seeds: the same seed, source and options give the same case.</summary>
internal sealed class CaseGenerator(IInstructionSource source)
{
    // Below the code there is INT3 only: where a jump may go.
    private const int LeastCodeOffset = 100;

    /// <summary>Memory operands lie in the writable pages only.</summary>
    public bool ValidAddressesOnly { get; init; }

    /// <summary>Instructions per case.</summary>
    public int MinimumLength { get; init; } = 1;

    /// <summary>Instructions per case.</summary>
    public int MaximumLength { get; init; } = 1;

    /// <summary>The case of a seed.</summary>
    public MachineCase Generate(ulong seed)
    {
        CaseRandom random = new(seed);
        MachineCase made = new();
        FillState(made, random);
        int length = MinimumLength + random.Below(MaximumLength - MinimumLength + 1);
        List<Instruction> instructions = [];
        List<byte> bytes = [];
        made.CodeOffset = random.Below(1000) + LeastCodeOffset;
        made.Rip = MachineCase.CodeBase + (ulong)made.CodeOffset;
        ulong undefined = 0;
        while (instructions.Count < length)
        {
            if (!source.TryNext(random, made.Rip + (ulong)bytes.Count, out Instruction instruction, out byte[] encoded))
            {
                continue;
            }

            if (bytes.Count + encoded.Length > MachineCase.MaximumCode - 1)
            {
                break;
            }

            // Nothing undefined may become an input.
            if ((UndefinedResults.ToRflags(instruction.RflagsRead) & undefined) != 0 || (length > 1 && UndefinedResults.MayBeEverything(instruction)))
            {
                continue;
            }

            undefined = (undefined & ~UndefinedResults.FlagsSurelyDefined(instruction)) | UndefinedResults.FlagsOfAny(instruction);
            instructions.Add(instruction);
            bytes.AddRange(encoded);
        }

        made.Instructions = instructions;
        made.Code = [.. bytes];
        foreach (Instruction instruction in instructions.AsEnumerable().Reverse())
        {
            Bias(made, instruction, random);
        }

        return made;
    }

    /// <summary>A linear address where data may be.</summary>
    private ulong Target(CaseRandom random, int size)
    {
        ulong page = MachineCase.PageSize;
        ulong inside = MachineCase.DataBase + (ulong)(64 * random.Below(120)) + (random.Percent(70) ? (ulong)(16 * random.Below(4)) : (ulong)random.Below(64));
        int kind = random.Below(100);
        if (kind < 80)
        {
            return inside;
        }

        ulong before = (ulong)random.Below(Math.Max(1, Math.Min(size + 2, 64)));
        if (kind < 88 || ValidAddressesOnly)
        {
            return MachineCase.DataBase + page - before;
        }

        return kind switch
        {
            < 93 => MachineCase.DataBase + (2 * page) - before,
            < 95 => MachineCase.DataBase + (2 * page) + (ulong)random.Below(64),
            < 97 => MachineCase.DataBase + (3 * page) - before,
            < 98 => MachineCase.DataBase - before,
            < 99 => MachineCase.CodeBase + (ulong)random.Below(LeastCodeOffset),
            _ => 0x0000_8000_0000_0000 + (random.Next() & 0xFFFFFFFFF0),
        };
    }

    private void FillState(MachineCase made, CaseRandom random)
    {
        for (int i = 0; i < 16; i++)
        {
            bool pointer = i switch { 4 => random.Percent(90), 3 or 5 => random.Percent(50), 6 or 7 => random.Percent(60), _ => random.Percent(15) };
            made.Gpr[i] = pointer ? Target(random, 8) : random.Integer();
        }

        made.Rflags = 0x202 | (random.Next() & 0x8D5) | (random.Percent(25) ? 0x400UL : 0);
        made.FsBase = random.Percent(50) ? 0 : (random.Next() & 0xFFFF) << 4;
        made.GsBase = random.Percent(50) ? 0 : unchecked((ulong)-(long)(random.Next() & 0xFFFFFF));
        made.LastPage = (LastPage)random.Below(3);
        random.Fill(made.Memory);
        FillX87(made, random);
        Span<byte> xsave = made.Xsave;
        uint mxcsr = random.Below(10) switch { < 6 => 0x1F80, < 8 => 0x1F80 | ((uint)random.Next() & 0xE07F), _ => (uint)random.Next() & 0xFFFF };
        MemoryMarshal.Write(xsave[CpuState.MxcsrOffset..], mxcsr);
        MemoryMarshal.Write(xsave[(CpuState.MxcsrOffset + 4)..], 0xFFFF);
        for (int i = 0; i < 16; i++)
        {
            random.FillVector(xsave.Slice(CpuState.XmmOffset + (16 * i), 16));
            random.FillVector(xsave.Slice(CpuState.YmmHighOffset + (16 * i), 16));
        }

        xsave[CpuState.XstateBvOffset] = 7;
    }

    private static void FillX87(MachineCase made, CaseRandom random)
    {
        Span<byte> xsave = made.Xsave;
        ushort control = (ushort)(random.Percent(70) ? 0x37F : 0x40 | (random.Next() & 0x1F3F));
        ushort status = (ushort)(random.Next() & 0x7F40);
        if (random.Percent(20))
        {
            status |= (ushort)(random.Next() & 0x3F);
        }

        if ((status & ~control & 0x3F) != 0)
        {
            status |= 0x8080;
        }

        MemoryMarshal.Write(xsave, control);
        MemoryMarshal.Write(xsave[2..], status);
        xsave[4] = random.Percent(50) ? (byte)0xFF : (byte)random.Next();
        for (int i = 0; i < 8; i++)
        {
            random.FillExtended(xsave.Slice(CpuState.StOffset + (16 * i), 10));
        }
    }

    // Points what the instruction uses as an address at data, and makes counts and dividends plausible.
    private void Bias(MachineCase made, in Instruction instruction, CaseRandom random)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Div:
                made.Gpr[2] = random.Percent(60) ? 0 : made.Gpr[2];
                break;
            case Mnemonic.Popf or Mnemonic.Popfq:
                {
                    // No single step and no alignment checks, which the host would do to the code behind as well.
                    ulong at = made.Gpr[4] - MachineCase.DataBase;
                    if (at < MachineCase.DataSize - 8)
                    {
                        made.Memory[at + 1] &= 0xFE;
                        made.Memory[at + 2] &= 0xFB;
                    }

                    break;
                }

            case Mnemonic.Idiv:
                made.Gpr[2] = random.Percent(60) ? (ulong)((long)made.Gpr[0] >> 63) : made.Gpr[2];
                break;
        }

        if (CodeLists.StateCodes.Contains(instruction.Code))
        {
            BiasState(made, instruction, random);
            return;
        }

        if (instruction.HasRepPrefix || instruction.HasRepnePrefix)
        {
            made.Gpr[1] = random.Percent(85) ? (ulong)random.Below(40) : made.Gpr[1];
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Memory:
                    BiasMemory(made, instruction, random);
                    break;
                case OpKind.MemorySegRSI or OpKind.MemorySegESI:
                    made.Gpr[6] = Target(random, 8) - SegmentBase(made, instruction.MemorySegment);
                    break;
                case OpKind.MemoryESRDI or OpKind.MemoryESEDI:
                    made.Gpr[7] = Target(random, 8);
                    break;
                case OpKind.MemorySegRDI or OpKind.MemorySegEDI:
                    made.Gpr[7] = Target(random, 16) - SegmentBase(made, instruction.MemorySegment);
                    break;
            }
        }
    }

    // An aligned area with, for XRSTOR and FXRSTOR, mostly valid content; and of the components those that a domain has.
    private void BiasState(MachineCase made, in Instruction instruction, CaseRandom random)
    {
        BiasMemory(made, instruction, random);
        made.Gpr[0] = random.Next() & 7;
        made.Gpr[2] = 0;
        ulong address = instruction.GetVirtualAddress(0, 0, (register, _, _) => register switch
        {
            Register.FS => made.FsBase,
            Register.GS => made.GsBase,
            _ when register.IsSegmentRegister() => 0,
            _ => register.GetSize() == 4 ? (uint)made.Gpr[register.GetNumber()] : made.Gpr[register.GetNumber()],
        });
        ulong skew = address & 63;
        if (random.Percent(70) && instruction.MemoryBase.IsGPR() && instruction.MemoryIndex == Register.None)
        {
            made.Gpr[instruction.MemoryBase.GetNumber()] -= skew;
            address -= skew;
        }

        ulong at = address - MachineCase.DataBase;
        if (at < MachineCase.DataSize - CpuState.XsaveSize && random.Percent(80))
        {
            made.Xsave.CopyTo(made.Memory, (int)at);
            Span<byte> area = made.Memory.AsSpan((int)at, CpuState.XsaveSize);
            random.Fill(area.Slice(CpuState.XmmOffset, 64));
            random.Fill(area.Slice(CpuState.YmmHighOffset, 64));
            area[CpuState.XstateBvOffset] = (byte)(random.Next() & (random.Percent(85) ? 7UL : 0x1F));
            if (random.Percent(10))
            {
                area[random.Below(500)] ^= (byte)(1 << random.Below(8));

                // MXCSR bit 17 is valid on AMD's CPUs (APM 2 §11.2.4), which domains do not have.
                area[CpuState.MxcsrOffset + 2] &= 0xFD;
            }
        }
    }

    private void BiasMemory(MachineCase made, in Instruction instruction, CaseRandom random)
    {
        if (instruction.MemoryBase is Register.None or Register.RIP or Register.EIP)
        {
            return;
        }

        int size = instruction.MemorySize.GetSize();
        ulong target = Target(random, size);
        int number = instruction.MemoryBase.GetNumber();
        if (instruction.IsVsib)
        {
            SpreadIndices(made, instruction, random);
        }

        // Bit strings reach beyond the operand by a register's value.
        if (instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Btc or Mnemonic.Btr or Mnemonic.Bts && instruction.Op1Kind == OpKind.Register)
        {
            int bits = instruction.Op1Register.GetNumber();
            ulong offset = (ulong)(random.Below(8192) - 4096);
            made.Gpr[bits] = random.Percent(90) ? offset | (instruction.Op1Register.GetSize() == 8 ? 0 : random.Next() << 32) : made.Gpr[bits];
            target = MachineCase.DataBase + MachineCase.PageSize + (target & 0xFF);
        }

        ulong index = 0;
        if (instruction.MemoryIndex is not Register.None && !instruction.IsVsib)
        {
            int indexNumber = instruction.MemoryIndex.GetNumber();
            if (indexNumber == number)
            {
                // base * (1 + scale): solvable for none but odd factors; leave the value small.
                ulong factor = 1 + (ulong)instruction.MemoryIndexScale;
                made.Gpr[number] = (target - instruction.MemoryDisplacement64 - SegmentBase(made, instruction.MemorySegment)) / factor;
                return;
            }

            if (instruction.MemoryIndex == Register.AL)
            {
                index = (byte)made.Gpr[0];
            }
            else
            {
                if (random.Percent(60))
                {
                    made.Gpr[indexNumber] = random.Next() & 0xFF;
                }

                index = made.Gpr[indexNumber] * (ulong)instruction.MemoryIndexScale;
            }
        }

        ulong value = target - index - instruction.MemoryDisplacement64 - SegmentBase(made, instruction.MemorySegment);
        made.Gpr[number] = instruction.MemoryBase.GetSize() == 4 ? (uint)value | (random.Next() << 32) : value;
        if (random.Percent(60))
        {
            ulong at = target - MachineCase.DataBase;
            if (at < MachineCase.DataSize - 64)
            {
                Span<byte> operand = made.Memory.AsSpan((int)at, 32);
                random.FillVector(operand[..16]);
                random.FillVector(operand[16..]);
            }
        }
    }

    private static void SpreadIndices(MachineCase made, in Instruction instruction, CaseRandom random)
    {
        int register = instruction.MemoryIndex.GetNumber();
        bool wide = instruction.IsVsib64;
        for (int half = 0; half < 2; half++)
        {
            Span<byte> lanes = made.Xsave.AsSpan((half == 0 ? CpuState.XmmOffset : CpuState.YmmHighOffset) + (16 * register), 16);
            for (int i = 0; i < 16; i += wide ? 8 : 4)
            {
                long index = random.Below(600) - 300;
                if (wide)
                {
                    MemoryMarshal.Write(lanes[i..], index);
                }
                else
                {
                    MemoryMarshal.Write(lanes[i..], (int)index);
                }
            }
        }
    }

    private static ulong SegmentBase(MachineCase made, Register segment) =>
        segment switch { Register.FS => made.FsBase, Register.GS => made.GsBase, _ => 0 };
}
