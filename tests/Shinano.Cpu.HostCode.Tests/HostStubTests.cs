using System.Runtime.InteropServices;
using Iced.Intel;

namespace Shinano.Cpu.HostCode.Tests;

public sealed unsafe class HostStubTests : IDisposable
{
    private readonly HostInstructionCompiler _compiler = new();
    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(4096, 4096);

    public HostStubTests()
    {
        RegisterTable.Reset(_state);
        new Span<byte>(_memory, 4096).Clear();
    }

    [Fact]
    public void Adds_packed_integers_from_memory()
    {
        XmmInt32(3) = 5;
        *(int*)_memory = 7;
        HostStub stub = Compile("660FFE18");
        Assert.Equal((16, true, false, 16), (stub.MemorySize, stub.ReadsMemory, stub.WritesMemory, stub.Alignment));
        Assert.Equal(HostUnit.Sse, stub.Unit);
        Assert.Equal(HostStatus.Done, stub.Execute(_state, _memory, 0));
        Assert.Equal(12, XmmInt32(3));
        Assert.Equal(2UL, *(ulong*)(_state->Xsave + CpuState.XstateBvOffset));
    }

    [Fact]
    public void Reports_a_misaligned_operand_and_changes_nothing()
    {
        XmmInt32(3) = 5;
        Assert.Equal(HostStatus.Misaligned, Compile("660FFE18").Execute(_state, _memory + 8, 0));
        Assert.Equal(5, XmmInt32(3));
    }

    [Fact]
    public void Converts_into_the_guests_stack_pointer()
    {
        // cvttsd2si rsp, xmm1
        *(double*)(_state->Xsave + CpuState.XmmOffset + 16) = -3.75;
        Assert.Equal(HostStatus.Done, Compile("F2480F2CE1").Execute(_state, null, 0));
        Assert.Equal(unchecked((ulong)-3L), _state->Gpr[4]);
        Assert.Equal(0x1FA0u, Mxcsr);
    }

    [Fact]
    public void Rounds_as_the_guest_asked()
    {
        // cvtsd2si eax, xmm1, rounding up
        *(double*)(_state->Xsave + CpuState.XmmOffset + 16) = 1.25;
        Mxcsr = 0x1F80 | (2 << 13);
        _state->Gpr[0] = ulong.MaxValue;
        Assert.Equal(HostStatus.Done, Compile("F20F2DC1").Execute(_state, null, 0));
        Assert.Equal(2UL, _state->Gpr[0]);
        Assert.Equal(0x1F80u | (2 << 13) | 0x20, Mxcsr);
    }

    [Fact]
    public void Reports_an_unmasked_division_by_zero_without_a_result()
    {
        // divsd xmm0, xmm1
        *(double*)(_state->Xsave + CpuState.XmmOffset) = 1;
        Mxcsr = 0x1F80 & ~0x200u;
        Assert.Equal(HostStatus.SimdException, Compile("F20F5EC1").Execute(_state, null, 0));
        Assert.Equal(1.0, *(double*)(_state->Xsave + CpuState.XmmOffset));
        Assert.Equal((0x1F80u & ~0x200u) | 4, Mxcsr);
    }

    [Fact]
    public void Gives_flags_of_a_comparison()
    {
        // ucomisd xmm0, xmm0 with a quiet NaN: ZF, PF, CF
        *(ulong*)(_state->Xsave + CpuState.XmmOffset) = 0x7FF8000000000000;
        _state->Rflags = 0x202 | 0x8D5;
        Assert.Equal(HostStatus.Done, Compile("660F2EC0").Execute(_state, null, 0));
        Assert.Equal(0x202UL | 0x45, _state->Rflags);
    }

    [Fact]
    public void Vex_forms_clear_the_upper_half()
    {
        Assert.SkipUnless(HostFeatures.Detect().HasFlag(CpuFeatures.Avx), "the host has no AVX");

        // vpaddd xmm2, xmm3, xmm4
        XmmInt32(3) = 1;
        XmmInt32(4) = 2;
        *(ulong*)(_state->Xsave + CpuState.YmmHighOffset + 32) = ulong.MaxValue;
        Assert.Equal(HostStatus.Done, Compile("C5E1FED4").Execute(_state, null, 0));
        Assert.Equal(3, XmmInt32(2));
        Assert.Equal(0UL, *(ulong*)(_state->Xsave + CpuState.YmmHighOffset + 32));
        Assert.Equal(6UL, *(ulong*)(_state->Xsave + CpuState.XstateBvOffset));
    }

    [Fact]
    public void Runs_x87_on_the_guests_stack()
    {
        Assert.Equal(HostStatus.Done, Compile("D9E8").Execute(_state, null, 0)); // fld1
        Assert.Equal(HostStatus.Done, Compile("D9EB").Execute(_state, null, 0)); // fldpi
        Assert.Equal(HostStatus.Done, Compile("DEC1").Execute(_state, null, 0)); // faddp
        HostStub store = Compile("DD18"); // fstp qword [rax]
        Assert.Equal((8, false, true), (store.MemorySize, store.ReadsMemory, store.WritesMemory));
        Assert.Equal(HostStatus.Done, store.Execute(_state, _memory, 0));
        Assert.Equal(Math.PI + 1, *(double*)_memory);
        Assert.Equal(0, _state->Xsave[4]);
    }

    [Fact]
    public void An_unmasked_x87_exception_is_pending_until_the_next_waiting_instruction()
    {
        // fldz, fld1, fdiv st, st(1) with ZM clear
        *(ushort*)_state->Xsave = 0x37B;
        _state->Rip = 0x123456789A;
        Assert.Equal(HostStatus.Done, Compile("D9EE").Execute(_state, null, 0));
        Assert.Equal(HostStatus.Done, Compile("D9E8").Execute(_state, null, 0));
        Assert.Equal(HostStatus.Done, Compile("D8F1").Execute(_state, null, 0));
        Assert.Equal(0x8084, *(ushort*)(_state->Xsave + 2) & 0x80FF);
        Assert.Equal(0x123456789AUL, *(ulong*)(_state->Xsave + 8));
        Assert.Equal(HostStatus.X87Pending, Compile("9B").Execute(_state, null, 0));
        Assert.Equal(HostStatus.X87Pending, Compile("D9E8").Execute(_state, null, 0));
        Assert.Equal(HostStatus.Done, Compile("DBE2").Execute(_state, null, 0)); // fnclex
        Assert.Equal(HostStatus.Done, Compile("D9E8").Execute(_state, null, 0));
    }

    [Fact]
    public void Mmx_takes_the_x87_registers()
    {
        // movd mm2, eax; paddd mm2, mm2
        _state->Gpr[0] = 21;
        Assert.Equal(HostStatus.Done, Compile("0F6ED0").Execute(_state, null, 0));
        Assert.Equal(HostStatus.Done, Compile("0FFED2").Execute(_state, null, 0));
        Assert.Equal(42UL, *(ulong*)(_state->Xsave + CpuState.StOffset + 32));
        Assert.Equal(0xFFFF, *(ushort*)(_state->Xsave + CpuState.StOffset + 40));
        Assert.Equal(0xFF, _state->Xsave[4]);
    }

    [Theory]
    [InlineData("0F05")] // syscall
    [InlineData("F4")] // hlt
    [InlineData("4801C8")] // add rax, rcx
    [InlineData("0FAEF8")] // sfence
    [InlineData("0FAE10")] // ldmxcsr [rax]
    [InlineData("0FAE00")] // fxsave [rax]
    [InlineData("660FF7C1")] // maskmovdqu xmm0, xmm1
    [InlineData("62F1754858C0")] // vaddps zmm0, zmm1, zmm0
    [InlineData("0F0F")] // not an instruction
    [InlineData("50")] // push rax
    public void Refuses(string bytes) => Assert.False(_compiler.TryCompile(Decode(bytes), out _));

    [Fact]
    public void Shares_stubs_between_addresses_and_forgets_them_in_bulk()
    {
        Assert.Same(Compile("660FFE18"), Compile("660FFE5C2440"));
        HostStub first = Compile("C5E172D200");
        int made = 0;
        for (int op = 0; made <= HostInstructionCompiler.StubsKept; op++)
        {
            // vpsrld xmm, xmm, imm8: 15 bits of the encoding are free
            byte[] bytes = [0xC5, (byte)(0x81 | (((op >> 8) & 15) << 3)), 0x72, (byte)(0xD0 | ((op >> 12) & 7)), (byte)op];
            Assert.True(_compiler.TryCompile(Decode(Convert.ToHexString(bytes)), out _));
            made++;
        }

        Assert.NotSame(first, Compile("C5E172D200"));
        Assert.Equal(HostStatus.Done, first.Execute(_state, null, 0));
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_state);
        NativeMemory.AlignedFree(_memory);
    }

    private static Instruction Decode(string bytes) => Decoder.Create(64, Convert.FromHexString(bytes)).Decode();

    private HostStub Compile(string bytes)
    {
        Assert.True(_compiler.TryCompile(Decode(bytes), out HostStub stub), bytes);
        return stub;
    }

    private ref int XmmInt32(int number) => ref *(int*)(_state->Xsave + CpuState.XmmOffset + (16 * number));

    private ref uint Mxcsr => ref *(uint*)(_state->Xsave + CpuState.MxcsrOffset);
}
