using System.Buffers.Binary;

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
        if (actual.Vector == 13 && initial.Instructions.Any(i => i.CpuidFeatures.Contains(Iced.Intel.CpuidFeature.SHA)))
        {
            return found;
        }

        // VCVTPS2PH ignores FZ, with which tiny results are found elsewhere: an exact tiny one does not raise the unmasked underflow here.
        bool unmaskedUnderflow = (initial.Xsave[CpuState.MxcsrOffset + 1] & 8) == 0;
        if (expected.Vector == 19 && unmaskedUnderflow && initial.Instructions.Any(i => i.Mnemonic == Iced.Intel.Mnemonic.Vcvtps2ph))
        {
            return found;
        }

        Check("vector", expected.Vector, actual.Vector);
        if (expected.Vector != actual.Vector)
        {
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
        foreach (Iced.Intel.Instruction instruction in initial.Instructions)
        {
            if (instruction.IP >= expected.Rip)
            {
                break;
            }

            undefined |= initial.Instructions.Count == 1 ? UndefinedResults.Flags(instruction, initial) : UndefinedResults.FlagsOfAny(instruction);
        }

        Check("rflags", expected.Rflags & 0xCD5 & ~undefined, actual.Rflags & 0xCD5 & ~undefined);
        Check("fs.base", expected.FsBase, actual.FsBase);
        Check("gs.base", expected.GsBase, actual.GsBase);
        CompareXsave(found, expected.Xsave, actual.Xsave, expected.Vector == 19);
        int difference = expected.Memory.AsSpan().CommonPrefixLength(actual.Memory);
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

        check("cr2", expected.Cr2, actual.Cr2);

        // For an address of its own half the host's kernel reports "present", whatever is there.
        ulong ignored = (long)expected.Cr2 < 0 ? 1UL : 0;
        check("error code", expected.ErrorCode | ignored, actual.ErrorCode | ignored);
    }

    private static void CompareXsave(List<string> found, byte[] expected, byte[] actual, bool simdException)
    {
        void Range(string name, int at, int length)
        {
            if (!expected.AsSpan(at, length).SequenceEqual(actual.AsSpan(at, length)))
            {
                found.Add($"{name}: host {Convert.ToHexString(expected, at, length)}, here {Convert.ToHexString(actual, at, length)} (bytes in memory order)");
            }
        }

        // The instruction and data pointers are left out: docs/design/host-code.md says what they are.
        Range("fcw", 0, 2);
        Range("fsw", 2, 2);
        Range("ftw", 4, 1);
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
