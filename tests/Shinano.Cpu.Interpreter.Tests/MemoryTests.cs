using Iced.Intel;
using Shinano.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

public sealed class MemoryTests
{
    private const ulong Data = GuestProgram.Data;

    [Fact]
    public void EveryAddressFormReachesItsPlace()
    {
        using GuestProgram guest = new();
        for (int i = 0; i < 8; i++)
        {
            guest.WriteUInt64(Data + (ulong)(8 * i), (ulong)(100 + i));
        }

        guest.Rsi = Data;
        guest.Rcx = 2;
        guest.StateRef.Fs.Base = Data - 0x1000;
        guest.StateRef.Gs.Base = Data - 8;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.mov(rax, __qword_ptr[rsi + 8]);
            a.mov(rbx, __qword_ptr[rsi + (rcx * 8)]);
            a.mov(rdx, __qword_ptr[(rcx * 4) + (long)Data + 16]);
            a.mov(r8, __qword_ptr.fs[rcx + 0x1000 + 30]);
            a.mov(r9, __qword_ptr.gs[0x30]);
            a.lea(r10, __qword_ptr.gs[rsi + 5]);
            a.lea(r11d, __qword_ptr[rsi + rcx]);
            a.mov(r12, __qword_ptr[Data + 48]);
        }));
        Assert.Equal(101UL, guest.Rax);
        Assert.Equal(102UL, guest.Rbx);
        Assert.Equal(103UL, guest.Rdx);
        Assert.Equal(104UL, guest.Gpr(r8));
        Assert.Equal(105UL, guest.Gpr(r9));
        Assert.Equal(Data + 5, guest.Gpr(r10));
        Assert.Equal(Data + 2, guest.Gpr(r11));
        Assert.Equal(106UL, guest.Gpr(r12));
    }

    [Fact]
    public void NegativeAbsoluteAddressesAreSignExtended()
    {
        using GuestProgram guest = new();
        ulong high = 0xFFFF_FFFF_8000_0000;
        guest.Map(high, guest.AllocateFrame());
        guest.WriteUInt64(high + 8, 77);
        guest.StateRef.Gs.Base = high - 0x100;

        // mov rax, [disp32 0x80000008]; mov rbx, gs:[disp32 0x108]; addr32 mov rcx, [disp32 0x600000]
        guest.WriteUInt64(Data, 55);
        GuestProgram.AssertSyscall(guest.RunBytes(
            0x48, 0x8B, 0x04, 0x25, 0x08, 0x00, 0x00, 0x80,
            0x65, 0x48, 0x8B, 0x1C, 0x25, 0x08, 0x01, 0x00, 0x00,
            0x67, 0x48, 0x8B, 0x0C, 0x25, 0x00, 0x00, 0x60, 0x00));
        Assert.Equal(77UL, guest.Rax);
        Assert.Equal(77UL, guest.Rbx);
        Assert.Equal(55UL, guest.Rcx);
    }

    [Fact]
    public void RipRelativeFollowsTheLinearAddressOfEachMapping()
    {
        using GuestProgram guest = new();
        ulong other = 0x5000_0000;
        guest.Map(other, guest.Physical(GuestProgram.Code) >> 12);
        guest.Map(other + 0x1000, guest.AllocateFrame());
        guest.WriteUInt64(GuestProgram.Code + 0x1000, 1);
        guest.WriteUInt64(other + 0x1000, 2);

        // mov rax, [rip + 0xff9]
        byte[] code = [0x48, 0x8B, 0x05, 0xF9, 0x0F, 0x00, 0x00];
        GuestProgram.AssertSyscall(guest.RunBytes(code));
        Assert.Equal(1UL, guest.Rax);
        guest.StateRef.Rip = other;
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(2UL, guest.Rax);
        Assert.Equal(other + 9, guest.StateRef.Rip);
    }

    [Fact]
    public void AccessesAcrossPagesReadAndWriteBoth()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data + 0xFFC;
        guest.Rax = 0x1122_3344_5566_7788;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.mov(__qword_ptr[rsi], rax);
            a.add(__qword_ptr[rsi], 1);
            a.mov(rbx, __qword_ptr[rsi]);
            a.@lock.add(__qword_ptr[rsi], 1);
        }));
        Assert.Equal(0x1122_3344_5566_7789UL, guest.Rbx);
        Assert.Equal(0x1122_3344_5566_778AUL, guest.ReadUInt64(Data + 0xFFC));
    }

    [Fact]
    public void AStoreAcrossAPageThatFaultsWritesNothing()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(Data + 0xFF8, 0xAAAA_AAAA_AAAA_AAAA);
        guest.Unmap(Data + 0x1000);
        guest.Rsi = Data + 0xFFC;
        CpuExit exit = guest.Run(a => a.mov(__qword_ptr[rsi], rax));
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.Write));
        Assert.Equal(Data + 0x1000, exit.Address);
        Assert.Equal(GuestProgram.Code, guest.StateRef.Rip);
        Assert.Equal(0xAAAA_AAAA_AAAA_AAAAUL, guest.ReadUInt64(Data + 0xFF8));
    }

    [Fact]
    public void ReadOnlyPagesRefuseWritesAndTakeThemOnceRemapped()
    {
        using GuestProgram guest = new();
        ulong frame = guest.Physical(Data) >> 12;
        guest.Map(Data, frame, PageTableEntry.Present | PageTableEntry.User);
        guest.Rsi = Data;
        void Program(Assembler a)
        {
            a.mov(rax, __qword_ptr[rsi]);
            a.mov(__dword_ptr[rsi], 7);
        }

        CpuExit exit = guest.Run(Program);
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.Write | PageFaultErrors.Present));
        guest.Map(Data, frame);
        guest.Cpu.FlushPage(Data);
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(7UL, guest.ReadUInt64(Data));
        guest.Memory.TryReadUInt64(guest.EntryAddress(Data), out ulong entry);
        Assert.Equal(PageTableEntry.Accessed | PageTableEntry.Dirty, entry & (PageTableEntry.Accessed | PageTableEntry.Dirty));
    }

    [Fact]
    public void StaleTranslationsLastUntilTheFlush()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(Data, 1);
        guest.Rsi = Data;
        guest.Run(a => a.mov(rax, __qword_ptr[rsi]));
        Assert.Equal(1UL, guest.Rax);
        ulong frame = guest.AllocateFrame();
        guest.Map(Data, frame);
        guest.WriteUInt64(Data, 2);
        foreach (Action flush in new Action[] { () => guest.Cpu.FlushPage(Data + 5), () => guest.Cpu.FlushContext(0), guest.Cpu.FlushTranslations, guest.Cpu.RequestFlush })
        {
            flush();
            guest.StateRef.Rip = GuestProgram.Code;
            GuestProgram.AssertSyscall(guest.Run());
            Assert.Equal(2UL, guest.Rax);
        }
    }

    [Fact]
    public void ContextsHaveTranslationsOfTheirOwn()
    {
        using GuestProgram guest = new();
        guest.WriteUInt64(Data, 1);
        guest.Rsi = Data;
        guest.Run(a => a.mov(rax, __qword_ptr[rsi]));
        ulong first = guest.Physical(Data) >> 12;
        guest.Map(Data, guest.AllocateFrame());
        guest.WriteUInt64(Data, 2);
        guest.StateRef.TranslationContext = 1;
        guest.StateRef.Rip = GuestProgram.Code;
        guest.Run();
        Assert.Equal(2UL, guest.Rax);
        guest.Map(Data, first);
        guest.StateRef.TranslationContext = 0;
        guest.StateRef.Rip = GuestProgram.Code;
        guest.Run();
        Assert.Equal(1UL, guest.Rax);
    }

    [Fact]
    public void AddressSpaceNumbersWrapWithoutMixing()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data;
        guest.Assemble(GuestProgram.Code, a => a.mov(rax, __qword_ptr[rsi]));
        ulong[] frames = [guest.Physical(Data) >> 12, guest.AllocateFrame()];
        for (int i = 0; i < 5000; i++)
        {
            guest.Map(Data, frames[i & 1]);
            guest.WriteUInt64(Data, (ulong)i);
            guest.Cpu.FlushContext(0);
            guest.StateRef.Rip = GuestProgram.Code;
            guest.Run();
            Assert.Equal((ulong)i, guest.Rax);
        }
    }

    [Fact]
    public void NonCanonicalAddressesFault()
    {
        using GuestProgram guest = new();
        guest.Rsi = 0x8000_0000_0000_0000;
        GuestProgram.AssertFault(guest.Run(a => a.mov(rax, __qword_ptr[rsi])), ExceptionVector.GeneralProtection);
        guest.Rsp = 0x8000_0000_0000_0000;
        GuestProgram.AssertFault(guest.Run(a => a.push(rax)), ExceptionVector.StackFault);
        Assert.Equal(0x8000_0000_0000_0000, guest.Rsp);
    }

    [Fact]
    public void FaultingStackInstructionsLeaveRsp()
    {
        using GuestProgram guest = new();
        ulong top = GuestProgram.Stack + 0x1000;
        guest.Unmap(GuestProgram.Stack);
        guest.Rsp = top;
        GuestProgram.AssertFault(guest.Run(a => a.push(rax)), ExceptionVector.PageFault, 6);
        Assert.Equal(top, guest.Rsp);
        GuestProgram.AssertFault(guest.Run(a => a.call(GuestProgram.Code)), ExceptionVector.PageFault, 6);
        Assert.Equal(top, guest.Rsp);
        guest.Rsp = top - 8;
        GuestProgram.AssertFault(guest.Run(a => a.pop(rax)), ExceptionVector.PageFault, 4);
        Assert.Equal(top - 8, guest.Rsp);
        GuestProgram.AssertFault(guest.Run(a => a.ret()), ExceptionVector.PageFault, 4);
        Assert.Equal(top - 8, guest.Rsp);
    }

    [Fact]
    public void RepeatedMovesCommitUpToTheFault()
    {
        using GuestProgram guest = new();
        guest.Unmap(Data + 0x2000);
        guest.Rsi = Data;
        guest.Rdi = Data + 0x1F00;
        guest.Rcx = 0x200;
        guest.Write(Data, Enumerable.Repeat((byte)0x5A, 0x200).ToArray());
        CpuExit exit = guest.Run(a => a.rep.movsb());
        GuestProgram.AssertFault(exit, ExceptionVector.PageFault, 6);
        Assert.Equal(Data + 0x2000, exit.Address);
        Assert.Equal(0x100UL, guest.Rcx);
        Assert.Equal(Data + 0x2000, guest.Rdi);
        Assert.Equal(Data + 0x100, guest.Rsi);
        Assert.Equal(GuestProgram.Code, guest.StateRef.Rip);
        Assert.All(guest.Read(Data + 0x1F00, 0x100), b => Assert.Equal(0x5A, b));
        guest.Map(Data + 0x2000, guest.AllocateFrame());
        GuestProgram.AssertSyscall(guest.Run());
        Assert.Equal(0UL, guest.Rcx);
        Assert.All(guest.Read(Data + 0x1F00, 0x200), b => Assert.Equal(0x5A, b));
    }

    [Fact]
    public void OverlappingMovesRepeatTheirPatternAndBackwardOnesDoNot()
    {
        using GuestProgram guest = new();
        guest.Write(Data, [1, 2, 3, 4, 5, 6, 7, 8]);
        guest.Rsi = Data;
        guest.Rdi = Data + 2;
        guest.Rcx = 6;
        guest.Run(a => a.rep.movsb());
        Assert.Equal(new byte[] { 1, 2, 1, 2, 1, 2, 1, 2 }, guest.Read(Data, 8));
        guest.Write(Data, [1, 2, 3, 4, 5, 6, 7, 8]);
        guest.Rsi = Data + 5;
        guest.Rdi = Data + 7;
        guest.Rcx = 6;
        guest.Run(a =>
        {
            a.std();
            a.rep.movsb();
            a.cld();
        });
        Assert.Equal(new byte[] { 1, 2, 1, 2, 3, 4, 5, 6 }, guest.Read(Data, 8));
    }

    [Fact]
    public void FillCompareAndScan()
    {
        using GuestProgram guest = new();
        guest.Rdi = Data + 3;
        guest.Rcx = 0x1800;
        guest.Rax = 0xEE;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.rep.stosb();
            a.mov(rdi, Data);
            a.mov(rcx, 100);
            a.repne.scasb();
            a.mov(rbx, rcx);
            a.mov(rsi, Data + 3);
            a.mov(rdi, Data + 4);
            a.mov(rcx, 0x17FF);
            a.repe.cmpsb();
        }));
        Assert.Equal(96UL, guest.Rbx);
        Assert.Equal(0UL, guest.Rcx);
        Assert.Equal(Rflags.Zero, guest.Flags & Rflags.Zero);
        Assert.Equal(0, guest.Read(Data + 3 + 0x1800, 1)[0]);
    }

    [Fact]
    public void ARepetitionOfNothingAccessesNothing()
    {
        using GuestProgram guest = new();
        guest.Rsi = Data;
        guest.Rdi = Data + 0x1000;
        guest.Rcx = 0;
        GuestProgram.AssertSyscall(guest.Run(a =>
        {
            a.rep.stosd();
            a.rep.movsb();
            a.xor(ebx, ebx);
        }));
        foreach (ulong page in (ulong[])[Data, Data + 0x1000])
        {
            Assert.True(guest.Memory.TryReadUInt64(guest.EntryAddress(page), out ulong entry));
            Assert.Equal(0UL, entry & (PageTableEntry.Accessed | PageTableEntry.Dirty));
        }

        Assert.Equal((Data, Data + 0x1000), (guest.Rsi, guest.Rdi));
    }
}
