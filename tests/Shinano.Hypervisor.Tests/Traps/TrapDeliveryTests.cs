using Shinano.Cpu;
using Shinano.Hypervisor.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Traps;

public sealed unsafe class TrapDeliveryTests : IDisposable
{
    private const ulong KernelSelector = 0xE030;
    private readonly TrapTestDomain _domain = new();

    public void Dispose() => _domain.Dispose();

    private static void Exception(ref CpuExit exit, ExceptionVector vector, uint code = 0, ulong address = 0)
    {
        exit.Kind = CpuExitKind.Exception;
        exit.Vector = vector;
        exit.ErrorCode = code;
        exit.Address = address;
    }

    [Fact]
    public void A_fault_in_kernel_mode_pushes_a_frame_that_shows_ring_0()
    {
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Gpr[1] = 0xC1;
            state->Gpr[11] = 0x11;
            state->Gpr[4] = TrapTestDomain.KernelStackTop - 0x18;
            state->Rflags = Rflags.AlwaysOne | Rflags.Interrupt | Rflags.Carry | Rflags.AlignmentCheck | Rflags.Direction;
            Exception(ref exit, ExceptionVector.SegmentNotPresent, 0x1234);
        });
        CpuState* after = _domain.Vcpu.State;
        Assert.Equal(TrapTestDomain.HandlerOf(11), after->Rip);
        Assert.Equal(TrapTestDomain.KernelStackTop - 0x20 - 64, after->Gpr[4]);
        Assert.Equal(
            [0xC1, 0x11, 0x1234, TrapTestDomain.KernelCode, KernelSelector | (1UL << 32),
                Rflags.AlwaysOne | Rflags.Carry | Rflags.AlignmentCheck | Rflags.Direction | Rflags.Resume, TrapTestDomain.KernelStackTop - 0x18, 0xE02B],
            _domain.Stack(8));
        Assert.Equal(Rflags.AlwaysOne | Rflags.Interrupt | Rflags.Carry | Rflags.Direction, after->Rflags);
        Assert.Equal(FlatSegments.Code64, after->Cs.Selector);
        Assert.Equal(1, _domain.UpcallMask);
    }

    [Fact]
    public void A_page_fault_in_user_mode_enters_the_kernel_with_cr2_and_the_user_bit()
    {
        _domain.UpcallMask = 0;
        _domain.Vcpu.Traps[14] = _domain.Vcpu.Traps[14] with { MasksEvents = true };
        _domain.Vcpu.State->Gs.Base = 0x1111;
        _domain.Vcpu.State->KernelGsBase = 0x2222;
        _domain.Vcpu.SwitchMode(toKernel: false);
        Assert.Equal(0x2222UL, _domain.Vcpu.State->Gs.Base);
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Rip = TrapTestDomain.UserCode;
            state->Gpr[4] = TrapTestDomain.UserStackTop - 8;
            Exception(ref exit, ExceptionVector.PageFault, (uint)(PageFaultErrors.User | PageFaultErrors.Write), 0xDEAD000);
        });
        Assert.True(_domain.Vcpu.InKernel);
        Assert.Equal(0x1111UL, _domain.Vcpu.State->Gs.Base);
        Assert.Equal(0xDEAD000UL, _domain.Memory.Shared<ulong>(_domain.Vcpu.VcpuInfoAddress + 16));
        Assert.Equal(
            [6, TrapTestDomain.UserCode, 0xE033, Rflags.AlwaysOne | Rflags.Interrupt | Rflags.Resume, TrapTestDomain.UserStackTop - 8, 0xE02B],
            _domain.Stack(8)[2..]);
        Assert.Equal(TrapTestDomain.KernelStackTop - 64, _domain.Vcpu.State->Gpr[4]);
        Assert.Equal(1, _domain.UpcallMask);
    }

    [Fact]
    public void A_debug_exception_sets_dr6_and_leaves_the_resume_flag_alone()
    {
        _domain.Run((CpuState* _, ref CpuExit exit) =>
        {
            Exception(ref exit, ExceptionVector.Debug);
            exit.DebugStatus = 1 << 2;
        });
        Assert.Equal(0xFFFF_0FF4UL, _domain.Vcpu.State->Dr[6]);
        Assert.Equal(TrapTestDomain.HandlerOf(1), _domain.Vcpu.State->Rip);
        Assert.Equal(0UL, _domain.Stack(5)[4] & Rflags.Resume);
    }

    [Fact]
    public void A_guest_that_steps_gets_its_trap_after_cpuid()
    {
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Rflags |= Rflags.Trap | Rflags.Resume;
            exit.Kind = CpuExitKind.Cpuid;
            exit.InstructionLength = 2;
        });
        Assert.Equal(0xFFFF_4FF0UL, _domain.Vcpu.State->Dr[6]);
        Assert.Equal(TrapTestDomain.HandlerOf(1), _domain.Vcpu.State->Rip);
        Assert.Equal(
            [TrapTestDomain.KernelCode + 2, KernelSelector | (1UL << 32), Rflags.AlwaysOne | Rflags.Trap],
            _domain.Stack(5)[2..]);
    }

    [Fact]
    public void A_page_fault_in_kernel_mode_has_no_user_bit()
    {
        _domain.Run((CpuState* _, ref CpuExit exit) => Exception(ref exit, ExceptionVector.PageFault, (uint)PageFaultErrors.User, 0x5000));
        Assert.Equal(0UL, _domain.Stack(3)[2]);
    }

    [Fact]
    public void A_fault_that_the_tables_do_not_explain_is_retried_a_bounded_number_of_times()
    {
        int runs = 0;
        ScriptedCpu.Step step = (CpuState* _, ref CpuExit exit) =>
        {
            runs++;
            Exception(ref exit, ExceptionVector.PageFault, (uint)PageFaultErrors.User, TrapTestDomain.UserCode);
        };
        _domain.Run([.. Enumerable.Repeat(step, 20)]);
        Assert.Equal(20, runs);
        Assert.Equal(TrapTestDomain.HandlerOf(14), _domain.Vcpu.State->Rip);
    }

    [Fact]
    public void Probes_are_counted_and_the_guest_sees_nothing_of_them()
    {
        ulong rip = _domain.Vcpu.State->Rip;
        ulong stack = _domain.Vcpu.State->Gpr[4];
        long probes = _domain.Run(
            runner => runner.Vcpus[0].CountOf(CpuExitKind.Probe),
            [.. Enumerable.Repeat<ScriptedCpu.Step>((CpuState* _, ref CpuExit exit) => exit.Kind = CpuExitKind.Probe, 3)]);
        Assert.Equal(3, probes);
        Assert.Equal((rip, stack), (_domain.Vcpu.State->Rip, _domain.Vcpu.State->Gpr[4]));
        Assert.Equal(ShutdownReason.PowerOff, _domain.Domain.Shutdown);
    }

    [Fact]
    public void A_fault_without_a_kernel_stack_crashes_the_domain_only()
    {
        _domain.Vcpu.State->Gpr[4] = 0x7777_0000;
        _domain.Run((CpuState* _, ref CpuExit exit) => Exception(ref exit, ExceptionVector.DivideError));
        Assert.Equal(ShutdownReason.Crash, _domain.Domain.Shutdown);
        Assert.Contains(_domain.Domain.Log.Snapshot(), l => l.Contains("no kernel stack", StringComparison.Ordinal));
    }

    [Fact]
    public void An_exception_without_a_handler_crashes_the_domain()
    {
        _domain.Vcpu.Traps.ClearGates();
        _domain.Run((CpuState* _, ref CpuExit exit) => Exception(ref exit, ExceptionVector.InvalidOpcode));
        Assert.Equal(ShutdownReason.Crash, _domain.Domain.Shutdown);
    }

    [Fact]
    public void Syscall_from_user_mode_enters_the_callback_with_rcx_and_r11_pushed()
    {
        _domain.UpcallMask = 0;
        _domain.Vcpu.SwitchMode(toKernel: false);
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Rip = TrapTestDomain.UserCode + 2;
            state->Gpr[4] = TrapTestDomain.UserStackTop;
            state->Rflags |= Rflags.Direction;
            exit.Kind = CpuExitKind.Syscall;
        });
        ulong flags = Rflags.AlwaysOne | Rflags.Interrupt | Rflags.Direction;
        Assert.Equal(
            [TrapTestDomain.UserCode + 2, flags, TrapTestDomain.UserCode + 2, 0xE033, flags, TrapTestDomain.UserStackTop, 0xE02B],
            _domain.Stack(7));
        Assert.Equal(TrapTestDomain.KernelCode + 0x300, _domain.Vcpu.State->Rip);
        Assert.Equal(0UL, _domain.Vcpu.State->Rflags & Rflags.Direction);
        Assert.Equal(1, _domain.UpcallMask);
    }

    [Fact]
    public void Syscall_in_kernel_mode_is_a_hypercall()
    {
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Gpr[0] = (ulong)HypercallNumber.StackSwitch;
            state->Gpr[7] = 0xE02B;
            state->Gpr[6] = 0x12340;
            state->Rip = TrapTestDomain.KernelCode + 2;
            exit.Kind = CpuExitKind.Syscall;
        });
        Assert.Equal(0UL, _domain.Vcpu.State->Gpr[0]);
        Assert.Equal(TrapTestDomain.KernelCode + 2, _domain.Vcpu.State->Rip);
        Assert.Equal(TrapTestDomain.KernelCode + 2, _domain.Vcpu.State->Gpr[1]);
        Assert.Equal(0x12340UL, _domain.Vcpu.Traps.KernelStack);
    }

    [Fact]
    public void An_unknown_hypercall_is_refused_and_counted()
    {
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Gpr[0] = 0x1234567;
            exit.Kind = CpuExitKind.Syscall;
        });
        Assert.Equal(-Errno.NoSystemCall, (long)_domain.Vcpu.State->Gpr[0]);
        Assert.Equal(1, _domain.Domain.Hypercalls.UnknownCount);
    }

    [Fact]
    public void A_pending_event_is_delivered_when_the_mask_is_clear_and_masks_further_ones()
    {
        _domain.UpcallMask = 0;
        _domain.UpcallPending = 1;
        ulong rip = 0;
        _domain.Run((CpuState* state, ref CpuExit exit) => rip = state->Rip);
        Assert.Equal(TrapTestDomain.KernelCode + 0x100, rip);
        Assert.Equal(1, _domain.UpcallMask);
        Assert.Equal(KernelSelector, _domain.Stack(4)[3]);
        Assert.Equal(Rflags.AlwaysOne | Rflags.Interrupt, _domain.Stack(5)[4]);
    }

    [Fact]
    public void A_masked_event_waits()
    {
        _domain.UpcallPending = 1;
        ulong rip = 0;
        _domain.Run((CpuState* state, ref CpuExit exit) => rip = state->Rip);
        Assert.Equal(TrapTestDomain.KernelCode, rip);
    }

    [Fact]
    public void An_nmi_is_not_nested_until_its_handler_returns()
    {
        ulong second = 0;
        _domain.Vcpu.Traps.RaiseNmi();
        _domain.Run(
            (CpuState* state, ref CpuExit exit) => _domain.Vcpu.Traps.RaiseNmi(),
            (CpuState* state, ref CpuExit exit) => second = state->Gpr[4]);
        Assert.Equal(TrapTestDomain.HandlerOf(2), _domain.Vcpu.State->Rip);
        Assert.Equal(_domain.Vcpu.State->Gpr[4], second);
        Assert.True(_domain.Vcpu.Traps.NmiPending);
    }

    [Theory]
    [InlineData(3, true, true)]
    [InlineData(1, true, true)]
    [InlineData(0, true, false)]
    [InlineData(1, false, false)]
    [InlineData(3, false, true)]
    public void Int_n_goes_through_the_virtual_idt_as_far_as_the_gate_allows(byte privilege, bool kernel, bool allowed)
    {
        _domain.Vcpu.Traps[0x80] = new TrapGate(TrapTestDomain.KernelCode + 0x800, 0xE033, privilege, false);
        _domain.Vcpu.SwitchMode(kernel);
        ulong at = kernel ? TrapTestDomain.KernelCode : TrapTestDomain.UserCode;
        _domain.Run((CpuState* state, ref CpuExit exit) =>
        {
            state->Rip = at;
            Exception(ref exit, ExceptionVector.GeneralProtection, (0x80 << 3) | 2);
        });
        Assert.Equal(allowed ? TrapTestDomain.KernelCode + 0x800 : TrapTestDomain.HandlerOf(13), _domain.Vcpu.State->Rip);
        Assert.Equal(allowed ? at + 2 : 0x402, _domain.Stack(3)[2]);
    }
}
