using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Traps;

public sealed unsafe class TrapHypercallTests : IDisposable
{
    private const ulong Buffer = TrapTestDomain.KernelStackTop - 0x1000;
    private readonly TrapTestDomain _domain = new();

    private PvVcpu Vcpu => _domain.Vcpu;

    public void Dispose() => _domain.Dispose();

    private long Call(HypercallNumber number, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0)
    {
        HypercallArguments arguments = new(a1, a2, a3, 0, 0, 0);
        return _domain.Domain.Hypercalls.Call(Vcpu, (ulong)number, in arguments);
    }

    private void Write(ulong address, params ulong[] words) =>
        Assert.True(Vcpu.Guest.TryWrite(address, MemoryMarshal.AsBytes(words.AsSpan())));

    /// <summary>A value of RAX that, as a hypercall's result, would mean to start the hypercall again: a page-table entry's NX bit alone.</summary>
    private const ulong AnyRax = 1UL << 63;

    private void Iret(ulong flags, ulong rip, ulong cs, ulong rflags, ulong rsp, ulong ss)
    {
        Vcpu.State->Gpr[4] = TrapTestDomain.KernelStackTop - 0x100;
        Write(Vcpu.State->Gpr[4], AnyRax, 0x111, 0xCCC, flags, rip, cs, rflags, rsp, ss);
        Assert.Equal(Hypercalls.HypercallTable.RegistersLoaded, Call(HypercallNumber.Iret));
    }

    [Fact]
    public void Iret_to_user_mode_restores_every_register_and_the_upcall_mask()
    {
        Vcpu.State->Gs.Base = 1;
        Vcpu.State->KernelGsBase = 2;
        Iret(0, TrapTestDomain.UserCode, 0xE033, 0xFFFF_FFFF_FFFF_FFFF, TrapTestDomain.UserStackTop, 0xE02B);
        Assert.False(Vcpu.InKernel);
        Assert.Equal(1UL, Vcpu.State->TranslationContext);
        Assert.Equal(Vcpu.UserRoot, Vcpu.State->Cr3);
        Assert.Equal(2UL, Vcpu.State->Gs.Base);
        Assert.Equal((AnyRax, 0x111UL, 0xCCCUL), (Vcpu.State->Gpr[0], Vcpu.State->Gpr[11], Vcpu.State->Gpr[1]));
        Assert.Equal((TrapTestDomain.UserCode, TrapTestDomain.UserStackTop), (Vcpu.State->Rip, Vcpu.State->Gpr[4]));
        Assert.Equal(0UL, Vcpu.State->Rflags & (Rflags.IoPrivilege | Rflags.Virtual8086 | Rflags.VirtualInterrupt | Rflags.VirtualInterruptPending));
        Assert.Equal(0, _domain.UpcallMask);
    }

    [Fact]
    public void Iret_in_syscall_context_discards_rcx_and_r11_and_loads_flat_segments()
    {
        Iret(0x100, TrapTestDomain.UserCode, 0x33, Rflags.AlwaysOne, TrapTestDomain.UserStackTop, 0x2B);
        Assert.False(Vcpu.InKernel);
        Assert.Equal(TrapTestDomain.UserCode, Vcpu.State->Gpr[1]);
        Assert.Equal(FlatSegments.Code64, Vcpu.State->Cs.Selector);
        Assert.Equal(FlatSegments.Data, Vcpu.State->Ss.Selector);
        Assert.Equal(1, _domain.UpcallMask);
    }

    [Fact]
    public void Iret_with_a_ring_0_selector_stays_in_the_kernel()
    {
        Iret(0, TrapTestDomain.KernelCode + 8, 0xE030, Rflags.AlwaysOne | Rflags.Interrupt, TrapTestDomain.KernelStackTop, 0xE02B);
        Assert.True(Vcpu.InKernel);
        Assert.Equal(FlatSegments.Code64, Vcpu.State->Cs.Selector);
        Assert.Equal(TrapTestDomain.KernelCode + 8, Vcpu.State->Rip);
    }

    [Theory]
    [InlineData(0x33UL, 0xE02BUL, TrapTestDomain.UserCode)]
    [InlineData(0xE033UL, 0UL, TrapTestDomain.UserCode)]
    [InlineData(0xE033UL, 0xE02BUL, 0x8000_0000_0000UL)]
    public void Iret_that_faults_ends_in_the_failsafe_callback_with_the_data_selectors(ulong cs, ulong ss, ulong rip)
    {
        Vcpu.State->Fs.Selector = 0x63;
        Iret(0, rip, cs, Rflags.AlwaysOne | Rflags.Interrupt, TrapTestDomain.UserStackTop, ss);
        Assert.True(Vcpu.InKernel);
        Assert.Equal(TrapTestDomain.KernelCode + 0x200, Vcpu.State->Rip);
        Assert.Equal(
            [0xCCC, 0x111, 0, 0, 0x63, 0, rip, cs | 3, Rflags.AlwaysOne | Rflags.Interrupt, TrapTestDomain.UserStackTop, ss | 3],
            _domain.Stack(11));
        Assert.Equal(0, _domain.UpcallMask);
    }

    [Fact]
    public void Iret_without_a_frame_or_user_tables_crashes_the_domain()
    {
        Vcpu.SetUserRoot(0);
        Iret(0, TrapTestDomain.UserCode, 0xE033, 2, TrapTestDomain.UserStackTop, 0xE02B);
        Assert.Equal(ShutdownReason.Crash, _domain.Domain.Shutdown);

        using TrapTestDomain other = new();
        other.Vcpu.State->Gpr[4] = 0x10;
        HypercallArguments none = default;
        other.Domain.Hypercalls.Call(other.Vcpu, (ulong)HypercallNumber.Iret, in none);
        Assert.Equal(ShutdownReason.Crash, other.Domain.Shutdown);
    }

    [Fact]
    public void The_trap_table_is_read_up_to_its_end_mark()
    {
        Write(Buffer, 0xE030_07_0EUL | (0UL << 32), 0x1000, (0xE033UL << 16) | 0x0080, 0x2000, 0, 0);
        Assert.Equal(0, Call(HypercallNumber.SetTrapTable, Buffer));
        Assert.Equal(new TrapGate(0x1000, 0xE033, 3, true), Vcpu.Traps[14]);
        Assert.Equal(new TrapGate(0x2000, 0xE033, 0, false), Vcpu.Traps[0x80]);
        Assert.Equal(0, Call(HypercallNumber.SetTrapTable, 0));
        Assert.Equal(default, Vcpu.Traps[14]);
    }

    [Fact]
    public void A_trap_table_that_is_not_there_or_not_canonical_is_refused()
    {
        Assert.Equal(-Errno.Fault, Call(HypercallNumber.SetTrapTable, 0x10));
        Write(Buffer, 14, 0x8000_0000_0000);
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.SetTrapTable, Buffer));
    }

    [Fact]
    public void A_trap_table_without_an_end_is_served_in_pieces()
    {
        for (ulong at = Buffer; at < Buffer + 0x800; at += 16)
        {
            Write(at, 3, 0x1000);
        }

        Assert.Equal(HypercallTable.Restart, Call(HypercallNumber.SetTrapTable, Buffer));
        Assert.InRange(Vcpu.State->Gpr[7], Buffer + 16, Buffer + 0x800);
    }

    [Fact]
    public void Callbacks_keep_their_mask_flag()
    {
        Write(Buffer, 2 | (1 << 16), 0x5000);
        Assert.Equal(0, Call(HypercallNumber.CallbackOp, 0, Buffer));
        Assert.Equal(new GuestCallback(0x5000, true), Vcpu.Traps.SyscallCallback);
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.CallbackOp, 1, Buffer));
        Write(Buffer, 4, 0x6000);
        Assert.Equal(0, Call(HypercallNumber.CallbackOp, 0, Buffer));
        Assert.Equal(0x6000UL, Vcpu.Traps[2].Address);
        Assert.Equal(0, Call(HypercallNumber.CallbackOp, 1, Buffer));
        Assert.Equal(0UL, Vcpu.Traps[2].Address);
        Write(Buffer, 0, 0x8000_0000_0000);
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.CallbackOp, 0, Buffer));
        Write(Buffer, 77, 0x6000);
        Assert.Equal(-Errno.NoSystemCall, Call(HypercallNumber.CallbackOp, 0, Buffer));
        Assert.Equal(-Errno.NoSystemCall, Call(HypercallNumber.CallbackOp, 9, Buffer));
        Assert.Equal(-Errno.Fault, Call(HypercallNumber.CallbackOp, 0, 8));
    }

    [Fact]
    public void Segment_bases_must_be_canonical()
    {
        Assert.Equal(0, Call(HypercallNumber.SetSegmentBase, 0, 0x1000));
        Assert.Equal(0, Call(HypercallNumber.SetSegmentBase, 1, 0x2000));
        Assert.Equal(0, Call(HypercallNumber.SetSegmentBase, 2, 0xFFFF_8880_0000_0000));
        Assert.Equal(
            (0x1000UL, 0x2000UL, 0xFFFF_8880_0000_0000UL), (Vcpu.State->Fs.Base, Vcpu.State->KernelGsBase, Vcpu.State->Gs.Base));
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.SetSegmentBase, 2, 0x8000_0000_0000));
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.SetSegmentBase, 4, 0));
        Assert.Equal(0, Call(HypercallNumber.SetSegmentBase, 3, 0xE028));
        Assert.Equal((0UL, 0xFFFF_8880_0000_0000UL), (Vcpu.State->KernelGsBase, Vcpu.State->Gs.Base));
        Assert.Equal(FlatSegments.Data, Vcpu.State->Gs.Selector);
        Assert.Equal(0, Call(HypercallNumber.SetSegmentBase, 3, 0x1238));
        Assert.Equal(0, Vcpu.State->Gs.Selector);
    }

    [Fact]
    public void Debug_registers_are_checked()
    {
        Assert.Equal(0, Call(HypercallNumber.SetDebugReg, 0, 0x1234));
        Assert.Equal(0x1234, Call(HypercallNumber.GetDebugReg, 0));
        Assert.Equal(-Errno.Perm, Call(HypercallNumber.SetDebugReg, 1, 0xFFFF_8000_0000_0000));
        Assert.Equal(-Errno.Perm, Call(HypercallNumber.SetDebugReg, 7, 1 << 13));
        Assert.Equal(-Errno.Invalid, Call(HypercallNumber.SetDebugReg, 7, 1UL << 32));

        // Watching ports needs CR4.DE, once any breakpoint is on.
        Assert.Equal(-Errno.Perm, Call(HypercallNumber.SetDebugReg, 7, (2 << 28) | 1));
        Assert.Equal(0, Call(HypercallNumber.SetDebugReg, 7, 2 << 28));
        Assert.Equal(0, Call(HypercallNumber.SetDebugReg, 7, (1 << 28) | 1));
        Assert.Equal((1 << 28) | 0x401, Call(HypercallNumber.GetDebugReg, 7));
        Assert.Equal(0, Call(HypercallNumber.SetDebugReg, 6, 0));
        Assert.Equal(0xFFFF0FF0, Call(HypercallNumber.GetDebugReg, 6));
        Assert.Equal(-Errno.NoDevice, Call(HypercallNumber.GetDebugReg, 8));
        Assert.Equal(-Errno.NoDevice, Call(HypercallNumber.SetDebugReg, ulong.MaxValue, 0));
    }

    [Fact]
    public void Task_switched_is_set_cleared_and_cleared_by_its_trap()
    {
        Assert.Equal(0, Call(HypercallNumber.FpuTaskSwitch, 1));
        Assert.Equal(8UL, Vcpu.State->Cr0 & 8);
        _domain.Run((CpuState* _, ref CpuExit exit) =>
        {
            exit.Kind = CpuExitKind.Exception;
            exit.Vector = ExceptionVector.DeviceNotAvailable;
        });
        Assert.Equal(TrapTestDomain.HandlerOf(7), Vcpu.State->Rip);
        Assert.Equal(0UL, Vcpu.State->Cr0 & 8);
    }
}
