using System.Buffers.Binary;
using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Finds the differences between two outcomes of the same case.</summary>
internal static class OutcomeComparer
{
    private static readonly string[] Names =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>One line for each difference; none when the outcomes agree.</summary>
    public static IReadOnlyList<string> Compare(MachineCase initial, MachineCase expected, MachineCase actual)
    {
        List<string> found = [];
        if (initial.Instructions.Count == 1 && UndefinedResults.Everything(initial.Instructions[0], initial))
        {
            return found;
        }

        void Check(string name, ulong host, ulong other)
        {
            if (host != other)
            {
                found.Add($"{name}: host {host:X}, here {other:X}");
            }
        }

        // SHA operands must be aligned by SDM 2A (exception type 4), which Intel's CPUs check and AMD's do not; here they must.
        if (actual.Vector == 13 && initial.Instructions.Any(i => i.CpuidFeatures.Contains(CpuidFeature.SHA)))
        {
            return found;
        }

        // VCVTPS2PH ignores FZ, with which tiny results are found elsewhere: an exact tiny one does not raise the unmasked underflow here.
        bool unmaskedUnderflow = (initial.Xsave[CpuState.MxcsrOffset + 1] & 8) == 0;
        if (expected.Vector == 19 && unmaskedUnderflow && initial.Instructions.Any(i => i.Mnemonic == Mnemonic.Vcvtps2ph))
        {
            return found;
        }

        // Which of CMPS's two operands is read first, and so faults, differs between CPUs, even of one maker.
        if (expected.Vector is 12 or 13 or 14 && actual.Vector is 12 or 13 or 14 && expected.Rip == actual.Rip
            && initial.Instructions.Any(i => i.IP == expected.Rip
                && i.Code is Code.Cmpsb_m8_m8 or Code.Cmpsw_m16_m16 or Code.Cmpsd_m32_m32 or Code.Cmpsq_m64_m64))
        {
            return found;
        }

        // SDM 2B MASKMOVDQU: whether masked-off bytes fault is up to the CPU (AMD's do). And MASKMOVQ switches to MMX mode there before it faults.
        if (expected.Vector is 13 or 14
            && initial.Instructions.Any(i => i.IP == expected.Rip && i.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu))
        {
            return found;
        }

        // AMD's CPUs want the effective address to be canonical, too, before the base of FS or GS is added; SDM 1 §3.3.7.1 only the sum.
        if (expected.Vector is 12 or 13 && actual.Vector == 14
            && initial.Instructions.Any(i => i.IP == expected.Rip && i.MemorySegment is Register.FS or Register.GS))
        {
            return found;
        }

        // AMD's CPUs touch all of the area that XRSTOR was asked for, present or not.
        if (expected.Vector == 14 && actual.Vector == 3 && initial.Instructions.Any(i => i.Mnemonic is Mnemonic.Xrstor or Mnemonic.Xrstor64))
        {
            return found;
        }

        // Undefined bytes that would also be too long: #GP comes first, but the decoder stops at the opcode. And AMD's CPUs ignore VEX.W in places where
        // SDM 2 wants a value.
        if (actual.Vector == 6
            && initial.Instructions.Count == 1
            && initial.Instructions[0].IsInvalid
            && (expected.Vector == 13 || initial.Code.AsSpan().ContainsAny((byte)0xC4, (byte)0xC5)))
        {
            return found;
        }

        Check("vector", expected.Vector, actual.Vector);
        if (expected.Vector != actual.Vector)
        {
            found.Add($"rip: host {expected.Rip:X}, here {actual.Rip:X}; address: host {expected.Cr2:X}, here {actual.Cr2:X}");
            return found;
        }

        CheckFault(expected, actual, Check);
        Check("rip", expected.Rip, actual.Rip);
        for (int i = 0; i < 16; i++)
        {
            Check(Names[i], expected.Gpr[i], actual.Gpr[i]);
        }

        // A fault before the last instruction leaves the flags of those before it.
        ulong undefined = 0;
        foreach (Instruction instruction in initial.Instructions)
        {
            if (instruction.IP >= expected.Rip)
            {
                break;
            }

            undefined |= initial.Instructions.Count == 1 ? UndefinedResults.Flags(instruction, initial) : UndefinedResults.FlagsOfAny(instruction);
        }

        if (!TestEngine.KeepsDeadFlags && initial.Instructions.Count > 1 && expected.Vector != 3)
        {
            // Flags that the rest of the code replaces unread may be anything at a fault (docs/quirks.md).
            undefined |= 0x8D5;
        }

        // All but RF, which a fault sets in the saved image only (SDM 3B §17.3.1.1).
        ulong compared = 0x26FFFFUL & ~undefined;
        Check("rflags", expected.Rflags & compared, actual.Rflags & compared);
        Check("fs.base", expected.FsBase, actual.FsBase);
        Check("gs.base", expected.GsBase, actual.GsBase);
        bool loadsX87 = initial.Instructions.Any(i => i.Mnemonic is Mnemonic.Fldenv or Mnemonic.Frstor);
        CompareXsave(found, expected.Xsave, actual.Xsave, expected.Vector == 19, loadsX87);
        bool savesState = initial.Instructions.Any(i => CodeLists.StateCodes.Contains(i.Code));
        int difference = expected.Memory.AsSpan().CommonPrefixLength(actual.Memory);
        if (savesState && difference < expected.Memory.Length && difference % 16 == 14 && expected.Memory[difference] == 2)
        {
            // MXCSR_MASK: AMD's CPUs have bit 17 (misaligned SSE), which is not given to domains.
            difference += 1 + expected.Memory.AsSpan(difference + 1).CommonPrefixLength(actual.Memory.AsSpan(difference + 1));
        }

        if (difference < expected.Memory.Length)
        {
            Check($"memory at {MachineCase.DataBase + (ulong)difference:X}", expected.Memory[difference], actual.Memory[difference]);
        }

        return found;
    }

    private static void CheckFault(MachineCase expected, MachineCase actual, Action<string, ulong, ulong> check)
    {
        if (expected.Vector != 14)
        {
            check("error code", expected.Vector is 10 or 11 or 12 or 13 or 17 ? expected.ErrorCode : 0, actual.ErrorCode);
            return;
        }

        Instruction at = expected.Instructions.FirstOrDefault(i => i.IP == expected.Rip);
        if (CodeLists.StateCodes.Contains(at.Code) && at.MemorySize != MemorySize.UInt32)
        {
            // Which page of the area faults first is the microcode's choice.
            return;
        }

        // Microcode reads and writes the parts of large operands, and the elements of masked ones, in an order of its own.
        bool parts = (at.MemorySize.GetSize() >= 14 && at.CpuidFeatures[0] is CpuidFeature.FPU or CpuidFeature.FPU387)
            || at.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu;
        ulong precision = parts ? ~0xFFFUL : ulong.MaxValue;
        check("cr2", expected.Cr2 & precision, actual.Cr2 & precision);

        // For addresses beyond a process's own (TASK_SIZE_MAX) the host's kernel reports "present", whatever is there.
        ulong ignored = expected.Cr2 >= 0x7FFF_FFFF_F000 ? 1UL : 0;
        check("error code", expected.ErrorCode | ignored, actual.ErrorCode | ignored);
    }

    private static void CompareXsave(List<string> found, byte[] expected, byte[] actual, bool simdException, bool loadsX87)
    {
        void Range(string name, int at, int length)
        {
            if (!expected.AsSpan(at, length).SequenceEqual(actual.AsSpan(at, length)))
            {
                found.Add($"{name}: host {Convert.ToHexString(expected, at, length)}, here {Convert.ToHexString(actual, at, length)} (bytes in memory order)");
            }
        }

        // AMD's CPUs save the pointers of x87 only while an exception is pending; the opcode is not kept exactly (docs/design/host-code.md).
        Range("fcw", 0, 2);
        Range("fsw", 2, 2);
        Range("ftw", 4, 1);
        if ((expected[2] & 0x80) != 0 && !loadsX87)
        {
            // As many bits as every host's linear addresses have.
            Range("fip", 8, 6);
            Range("fdp", 16, 6);
        }

        uint host = BinaryPrimitives.ReadUInt32LittleEndian(expected.AsSpan(CpuState.MxcsrOffset)) & 0xFFFF;
        uint here = BinaryPrimitives.ReadUInt32LittleEndian(actual.AsSpan(CpuState.MxcsrOffset)) & 0xFFFF;

        // An unmasked overflow or underflow: whether PE is set beside it depends on the result with an unbounded exponent, which nobody sees.
        uint ignored = simdException && ((host & 0x810) == 0x10 || (host & 0x408) == 8) ? 0x20u : 0;
        if ((host | ignored) != (here | ignored))
        {
            found.Add($"mxcsr: host {host:X}, here {here:X}");
        }

        for (int i = 0; i < 8; i++)
        {
            Range($"st{i}", CpuState.StOffset + (16 * i), 10);
        }

        for (int i = 0; i < 16; i++)
        {
            Range($"xmm{i}", CpuState.XmmOffset + (16 * i), 16);
            Range($"ymm{i} high", CpuState.YmmHighOffset + (16 * i), 16);
        }
    }
}
