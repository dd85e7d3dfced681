using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>Rare forms that the comparison with the host CPU found wrong or missing.</summary>
public sealed unsafe class StackFormTests
{
    private const ulong NonCanonical = 0x0000_8000_0000_0000;

    [Fact]
    public void Leave_of_16_bits_changes_the_low_half_of_rbp_only()
    {
        using GuestProgram guest = new();
        ulong frame = GuestProgram.StackTop - 64;
        guest.WriteUInt64(frame, 0x1122_3344_5566_7788);
        guest.State->Gpr[5] = frame;
        GuestProgram.AssertSyscall(guest.RunBytes(0x66, 0xC9));
        Assert.Equal((frame & ~0xFFFFUL) | 0x7788, guest.State->Gpr[5]);
        Assert.Equal(frame + 2, guest.Rsp);
    }

    [Fact]
    public void Enter_of_16_bits_pushes_two_bytes()
    {
        using GuestProgram guest = new();
        ulong top = GuestProgram.StackTop - 64;
        guest.Rsp = top;
        guest.State->Gpr[5] = 0x1111_2222_3333_4444;
        GuestProgram.AssertSyscall(guest.RunBytes(0x66, 0xC8, 0x10, 0x00, 0x00));
        Assert.Equal(0x1111_2222_3333_0000 | ((top - 2) & 0xFFFF), guest.State->Gpr[5]);
        Assert.Equal(top - 2 - 0x10, guest.Rsp);
        Assert.Equal(0x4444, BitConverter.ToUInt16(guest.Read(top - 2, 2)));
    }

    [Fact]
    public void A_non_canonical_address_is_a_stack_fault_only_through_rsp_and_rbp()
    {
        using GuestProgram guest = new();
        guest.Rsi = NonCanonical;
        GuestProgram.AssertFault(guest.Run(a => a.rorx(eax, __dword_ptr[rsi], 3)), ExceptionVector.GeneralProtection);
        GuestProgram.AssertFault(guest.Run(a => a.pop(__qword_ptr[rsi])), ExceptionVector.GeneralProtection);

        // add [rsi], eax with an SS prefix, which means nothing in 64-bit mode
        GuestProgram.AssertFault(guest.RunBytes(0x36, 0x01, 0x06), ExceptionVector.GeneralProtection);
        guest.State->Gpr[5] = NonCanonical;
        GuestProgram.AssertFault(guest.Run(a => a.add(__dword_ptr[rbp + 8], eax)), ExceptionVector.StackFault);
    }

    [Fact]
    public void A_branch_to_a_non_canonical_address_is_a_fault_of_the_branch()
    {
        using GuestProgram guest = new();
        ulong stack = guest.Rsp - 64;
        guest.Rsp = stack;
        guest.WriteUInt64(stack, NonCanonical);
        GuestProgram.AssertFault(guest.Run(a => a.ret()), ExceptionVector.GeneralProtection);
        Assert.Equal((GuestProgram.Code, stack), (guest.State->Rip, guest.Rsp));
        guest.Rsi = NonCanonical;
        GuestProgram.AssertFault(guest.Run(a => a.call(rsi)), ExceptionVector.GeneralProtection);
        Assert.Equal((GuestProgram.Code, stack), (guest.State->Rip, guest.Rsp));
        GuestProgram.AssertFault(guest.Run(a => a.jmp(rsi)), ExceptionVector.GeneralProtection);
        Assert.Equal(GuestProgram.Code, guest.State->Rip);
    }

    [Fact]
    public void An_operand_that_reaches_into_non_canonical_space_is_no_page_fault()
    {
        using GuestProgram guest = new();
        guest.Rsi = NonCanonical - 4;
        GuestProgram.AssertFault(guest.Run(a => a.mov(rax, __qword_ptr[rsi])), ExceptionVector.GeneralProtection);
        GuestProgram.AssertFault(guest.Run(a => a.mov(__qword_ptr[rsi], rax)), ExceptionVector.GeneralProtection);
    }

    [Fact]
    public void A_pending_x87_exception_comes_before_the_operands_page_fault()
    {
        using GuestProgram guest = new();
        guest.Rsi = 0xDEAD_0000;
        *(ushort*)guest.State->Xsave = 0x37E;
        *(ushort*)(guest.State->Xsave + 2) = 0x8081;
        GuestProgram.AssertFault(guest.Run(a => a.fld(__qword_ptr[rsi])), ExceptionVector.X87FloatingPoint);
        GuestProgram.AssertFault(guest.Run(a => a.paddb(mm0, __qword_ptr[rsi])), ExceptionVector.X87FloatingPoint);
    }

    [Fact]
    public void X87_remembers_where_its_last_instruction_and_operand_were()
    {
        using GuestProgram guest = new();
        guest.State->Fs.Base = GuestProgram.Data;
        GuestProgram.AssertSyscall(guest.RunBytes(0x90, 0x64, 0xDD, 0x04, 0x25, 0x40, 0, 0, 0)); // fld qword ptr fs:[40h]
        Assert.Equal(GuestProgram.Code + 1, *(ulong*)(guest.State->Xsave + 8));
        Assert.Equal(0x40UL, *(ulong*)(guest.State->Xsave + 16));
    }

    [Fact]
    public void Maskmovq_stores_the_selected_bytes()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(GuestProgram.Data, 0x1111_1111_1111_1111);
        guest.Rax = 0x8877_6655_4433_2211;
        guest.Rbx = 0x8000_0000_0000_0080;
        guest.Rdi = GuestProgram.Data;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.movq(mm1, rax);
            a.movq(mm2, rbx);
            a.maskmovq(mm1, mm2);
        }));
        Assert.Equal(0x8811_1111_1111_1111 | 0x11UL, guest.ReadUInt64(GuestProgram.Data));
    }

    [Fact]
    public void A_gathers_address_wraps_at_32_bits_with_the_prefix()
    {
        Assert.SkipUnless(InterpreterEngine.Supported.HasFlag(CpuFeatures.Avx2), "the host has no AVX2");
        using GuestProgram guest = new();
        guest.WriteUInt64(GuestProgram.Data, 0x1234_5678);
        guest.Rax = 0xFFFF_FFFF_0000_0000 | unchecked((uint)(GuestProgram.Data - 0x8000_0000));
        *(int*)(guest.State->Xsave + CpuState.XmmOffset + 16) = int.MinValue;
        *(uint*)(guest.State->Xsave + CpuState.XmmOffset + 32) = 0x8000_0000;
        GuestProgram.AssertSyscall(guest.RunBytes(0x67, 0xC4, 0xE2, 0x69, 0x90, 0x04, 0x08)); // vpgatherdd xmm0, [eax+xmm1], xmm2
        Assert.Equal(0x1234_5678, *(int*)(guest.State->Xsave + CpuState.XmmOffset));
    }

    [Fact]
    public void A_read_of_the_stack_does_not_make_its_page_dirty()
    {
        using GuestProgram guest = new();
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.mov(rax, __[rsp]);
            a.pop(rbx);
        }));
        guest.Memory.TryReadUInt64(guest.EntryAddress(GuestProgram.StackTop), out ulong entry);
        Assert.Equal(PageTableEntry.Accessed, entry & (PageTableEntry.Accessed | PageTableEntry.Dirty));
        guest.Rsp = GuestProgram.StackTop;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.pop(rbx);
            a.push(rbx);
        }));
        guest.Memory.TryReadUInt64(guest.EntryAddress(GuestProgram.StackTop), out entry);
        Assert.Equal(PageTableEntry.Dirty, entry & PageTableEntry.Dirty);
    }

    [Fact]
    public void A_misaligned_store_leaves_its_page_clean()
    {
        using GuestProgram guest = new();
        guest.Rsi = GuestProgram.Data + 8;
        GuestProgram.AssertFault(guest.Run(a => a.movaps(__[rsi], xmm0)), ExceptionVector.GeneralProtection);
        guest.Memory.TryReadUInt64(guest.EntryAddress(GuestProgram.Data), out ulong entry);
        Assert.Equal(0UL, entry & (PageTableEntry.Accessed | PageTableEntry.Dirty));
    }
}
