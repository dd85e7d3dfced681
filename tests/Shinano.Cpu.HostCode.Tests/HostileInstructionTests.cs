using System.Runtime.InteropServices;
using CsCheck;
using Iced.Intel;

namespace Shinano.Cpu.HostCode.Tests;

/// <summary>What a guest may encode must never become host code that does anything but the one instruction on the one operand.</summary>
public sealed unsafe class HostileInstructionTests
{
    private const int Guard = 256;

    [Fact]
    public void No_branch_privileged_or_differently_encoded_instruction_is_admitted()
    {
        int admitted = 0;
        foreach (Code code in Enum.GetValues<Code>())
        {
            Instruction instruction = new() { Code = code };
            OpCodeInfo opCode = code.ToOpCode();
            if (!InstructionPolicy.TryClassify(instruction, out InstructionPolicy policy))
            {
                continue;
            }

            admitted++;
            Assert.True(opCode.Encoding is EncodingKind.Legacy or EncodingKind.VEX, $"{code}");
            Assert.Equal(FlowControl.Next, code.FlowControl());
            Assert.False(opCode.IsPrivileged, $"{code}");
            Assert.False(instruction.IsStackInstruction, $"{code}");
            Assert.False(instruction.IsStringInstruction, $"{code}");
            Assert.False(opCode.CanUseLockPrefix, $"{code}");
            Assert.True(policy.Unit is HostUnit.Sse or HostUnit.Avx || policy.Alignment <= 16, $"{code}");
        }

        Assert.InRange(admitted, 900, 1300);
    }

    [Fact]
    public void Random_bytes_touch_nothing_but_their_operand()
    {
        HostInstructionCompiler compiler = new();
        CpuState* state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState) + (2 * Guard), 64);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(4096, 4096);
        int executed = 0;
        try
        {
            byte[] head = [0x0F, 0x66, 0xF2, 0xF3, 0xC4, 0xC5, 0xD8, 0xD9, 0xDB, 0xDD, 0xDF];
            Gen.Select(Gen.Byte.Array[15], Gen.Int[0, head.Length - 1], Gen.ULong).Sample(
                (bytes, first, seed) =>
                {
                    bytes[0] = head[first];
                    if (bytes[0] is 0x66 or 0xF2 or 0xF3)
                    {
                        bytes[1] = 0x0F;
                    }

                    Instruction instruction = Decoder.Create(64, bytes).Decode();
                    if (!compiler.TryCompile(instruction, out HostStub stub))
                    {
                        return;
                    }

                    executed++;
                    Check(stub, (CpuState*)((byte*)state + Guard), memory, seed);
                },
                iter: 20000,
                threads: 1);
            Assert.True(executed > 4000, $"only {executed} were host code");
        }
        finally
        {
            NativeMemory.AlignedFree(state);
            NativeMemory.AlignedFree(memory);
        }
    }

    private static void Check(HostStub stub, CpuState* state, byte* memory, ulong seed)
    {
        Random random = new((int)seed);

        // SAFETY: the state has Guard bytes on both sides, the memory is a page.
        Span<byte> around = new((byte*)state - Guard, sizeof(CpuState) + (2 * Guard));
        Span<byte> page = new(memory, 4096);
        random.NextBytes(around);
        random.NextBytes(page);
        *(uint*)(state->Xsave + CpuState.MxcsrOffset) &= 0xFFFF;
        byte[] stateBefore = around.ToArray();
        byte[] pageBefore = page.ToArray();
        int at = 1024 + (int)(seed % 1024);
        HostStatus status = stub.Execute(state, memory + at, 0x1234);

        Assert.True(Enum.IsDefined(status));
        Assert.True(around[..Guard].SequenceEqual(stateBefore.AsSpan(0, Guard)));
        Assert.True(around[^Guard..].SequenceEqual(stateBefore.AsSpan(stateBefore.Length - Guard)));
        int xsave = (int)Marshal.OffsetOf<CpuState>(nameof(CpuState.Xsave));
        Assert.Equal(BitConverter.ToUInt64(stateBefore, Guard + 128), state->Rip);
        Assert.True(around.Slice(Guard + 144, xsave - 144).SequenceEqual(stateBefore.AsSpan(Guard + 144, xsave - 144)), "system registers changed");
        const ulong Arithmetic = 0x8D5;
        Assert.Equal(BitConverter.ToUInt64(stateBefore, Guard + 136) & ~Arithmetic, state->Rflags & ~Arithmetic);
        int operand = stub.WritesMemory && status == HostStatus.Done ? stub.MemorySize : 0;
        Assert.True(page[..at].SequenceEqual(pageBefore.AsSpan(0, at)));
        Assert.True(page[(at + operand)..].SequenceEqual(pageBefore.AsSpan(at + operand)));
    }
}
