namespace Shinano.Cpu.Interpreter.Tests;

public sealed unsafe class HostCodeLimitTests
{
    [Fact]
    public void More_different_instructions_than_are_kept_still_run()
    {
        Assert.SkipUnless(InterpreterEngine.Supported.HasFlag(CpuFeatures.Avx2), "the host has no AVX2");
        using GuestProgram guest = new();
        guest.Rsi = GuestProgram.Data;
        const int Kinds = 20_000;
        const int PerRun = 500;
        for (int first = 0; first < Kinds; first += PerRun)
        {
            List<byte> code = [];
            for (int i = first; i < first + PerRun; i++)
            {
                // vpsrld xmm, xmm, imm8: 15 bits of it are free
                code.AddRange([0xC5, (byte)(0x81 | (((i >> 8) & 15) << 3)), 0x72, (byte)(0xD0 | ((i >> 12) & 7)), (byte)i]);
            }

            GuestProgram.AssertSyscall(guest.RunBytes([.. code]));
        }

        // vpaddd xmm1, xmm2, [rsi+8]
        Vector(guest, 2) = 5;
        guest.WriteUInt64(GuestProgram.Data + 8, 3);
        GuestProgram.AssertSyscall(guest.RunBytes(0xC5, 0xE9, 0xFE, 0x4E, 0x08));
        Assert.Equal(8u, Vector(guest, 1));
    }

    [Theory]
    [InlineData("C5E9FE4E08")]
    [InlineData("66420FFE8CB300100000")] // paddd xmm1, [rbx+r14*4+1000h]
    [InlineData("67660FFE08")] // paddd xmm1, [eax]
    [InlineData("64660FFE0C2540000000")] // paddd xmm1, fs:[40h]
    [InlineData("F2450F2CD5")]
    [InlineData("D8C3")]
    [InlineData("C4E251905C6608")]
    [InlineData("67C4E251905C6608")]
    [InlineData("660FF7C1")] // maskmovdqu
    public void A_packed_instruction_keeps_what_host_code_depends_on(string bytes)
    {
        Iced.Intel.Instruction before = Iced.Intel.Decoder.Create(64, Convert.FromHexString(bytes)).Decode();
        Op op = default;
        PackedInstruction.Pack(before, ref op);
        Iced.Intel.Instruction after = PackedInstruction.Unpack(&op);
        Assert.Equal(before.Code, after.Code);
        for (int i = 0; i < before.OpCount; i++)
        {
            Assert.Equal(before.GetOpKind(i), after.GetOpKind(i));
            Assert.Equal(before.GetOpRegister(i), after.GetOpRegister(i));
        }

        Assert.Equal(before.IsVsib, after.IsVsib);
        if (HostCode.ElementwiseInstruction.TryCreate(before, out HostCode.ElementwiseInstruction elementwise))
        {
            Assert.True(HostCode.ElementwiseInstruction.TryCreate(after, out HostCode.ElementwiseInstruction again));
            Assert.Equal(elementwise, again);
        }
    }

    private static ref uint Vector(GuestProgram guest, int number) => ref *(uint*)(guest.State->Xsave + CpuState.XmmOffset + (16 * number));
}
