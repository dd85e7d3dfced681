using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// Enters the guest kernel: builds the frame of an exception, system call or event on its stack. The frame, from its lowest address:
/// <code>
///   RCX R11 [DS ES FS GS] [error code] RIP CS RFLAGS RSP SS
/// </code>
/// DS to GS for the failsafe callback only; the CS slot has the saved upcall mask in bits 32 to 39. The guest's kernel mode shows as ring 0 in CS although
/// it runs in ring 3, and RFLAGS.IF is the inverse of the upcall mask. Source: public/arch-x86/xen-x86_64.h and Xen's entry.S (create_bounce_frame).
/// </summary>
internal static unsafe class TrapDelivery
{
    private const ulong ClearedOnEntry = Rflags.AlignmentCheck | Rflags.Virtual8086 | Rflags.Resume | Rflags.NestedTask | Rflags.Trap;

    /// <summary>Vectors that push an error code. Source: SDM 3A table 6-1.</summary>
    private const uint HaveErrorCode = (1 << 8) | (1 << 10) | (1 << 11) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 17);

    /// <summary>Delivers a hardware exception through the virtual IDT; the domain crashes when the guest has no handler or no stack for it.</summary>
    public static void Inject(PvVcpu vcpu, ExceptionVector vector, uint errorCode = 0)
    {
        TrapGate gate = vcpu.Traps[(int)vector];
        bool pushes = (int)vector < 32 && (HaveErrorCode & (1u << (int)vector)) != 0;
        if (gate.Address == 0)
        {
            vcpu.Domain.Crash(vcpu, $"unhandled exception {vector} (error code {errorCode:x}) at {vcpu.State->Rip:x}, CR2 {vcpu.Traps.GuestCr2:x}");
            return;
        }

        // A fault's frame has RF set, so that the instruction can be tried again behind its breakpoint; a trap's instruction is done. #DB keeps what the
        // engine left, which knows of repeated strings (SDM 3B §17.3.1.1).
        switch (vector)
        {
            case ExceptionVector.Debug or ExceptionVector.NonMaskableInterrupt:
                break;
            case ExceptionVector.Breakpoint or ExceptionVector.Overflow:
                vcpu.State->Rflags &= ~Rflags.Resume;
                break;
            default:
                vcpu.State->Rflags |= Rflags.Resume;
                break;
        }

        Enter(vcpu, gate.Address, gate.MasksEvents, pushes ? errorCode : null);
    }

    /// <summary>Delivers a debug exception.</summary>
    /// <param name="status">What happened, as bits of DR6.</param>
    public static void InjectDebug(PvVcpu vcpu, ulong status)
    {
        vcpu.State->Dr[6] |= status | DebugRegisters.Dr6AlwaysOne;
        Inject(vcpu, ExceptionVector.Debug);
    }

    /// <summary>
    /// What follows an instruction that the hypervisor executed in the guest's place, RIP being behind it: RF ends, and a guest that steps gets its trap
    /// (SDM 3B §17.3.1.4).
    /// </summary>
    public static void CompleteInstruction(PvVcpu vcpu)
    {
        vcpu.State->Rflags &= ~Rflags.Resume;
        if ((vcpu.State->Rflags & Rflags.Trap) != 0)
        {
            InjectDebug(vcpu, DebugControl.SingleStep);
        }
    }

    /// <summary>Delivers a page fault: sets CR2 and corrects the error code's user bit, which the engine takes from CPL 3 in both modes.</summary>
    public static void InjectPageFault(PvVcpu vcpu, ulong address, PageFaultErrors errors)
    {
        vcpu.Traps.GuestCr2 = address;
        VcpuInfo.WriteCr2(vcpu, address);
        errors &= ~PageFaultErrors.User;
        Inject(vcpu, ExceptionVector.PageFault, (uint)(errors | (vcpu.InKernel ? PageFaultErrors.None : PageFaultErrors.User)));
    }

    /// <summary>Delivers what the INT instruction asked for; RIP is after it.</summary>
    public static void InjectSoftware(PvVcpu vcpu, byte vector)
    {
        TrapGate gate = vcpu.Traps[vector];
        Enter(vcpu, gate.Address, gate.MasksEvents, null);
    }

    /// <summary>Enters the guest's handler for SYSCALL from user mode. RIP is after the instruction.</summary>
    public static void InjectSyscall(PvVcpu vcpu)
    {
        CpuState* state = vcpu.State;
        GuestCallback callback = (state->Cs.Selector | 3) == FlatSegments.Code32 && vcpu.Traps.Syscall32Callback.Address != 0
            ? vcpu.Traps.Syscall32Callback
            : vcpu.Traps.SyscallCallback;

        // What SYSCALL does before Xen sees it (SDM 2B, SYSCALL).
        state->Gpr[1] = state->Rip;
        state->Gpr[11] = state->Rflags;
        Enter(vcpu, callback.Address, callback.MasksEvents, null);
        state->Rflags &= ~Rflags.Direction;
    }

    /// <summary>Enters the failsafe callback after a return to the guest that faulted; the registers are those that were to be returned to.</summary>
    public static void InjectFailsafe(PvVcpu vcpu) =>
        Enter(vcpu, vcpu.Traps.FailsafeCallback.Address, vcpu.Traps.FailsafeCallback.MasksEvents, null, failsafe: true);

    /// <summary>Delivers a pending NMI, then pending events, as far as the guest allows them now.</summary>
    public static void DeliverPending(PvVcpu vcpu)
    {
        TrapState traps = vcpu.Traps;
        if (traps.NmiPending && !traps.InNmi && traps[(int)ExceptionVector.NonMaskableInterrupt].Address != 0 && traps.TakeNmi())
        {
            traps.InNmi = true;
            Inject(vcpu, ExceptionVector.NonMaskableInterrupt);
        }

        if (VcpuInfo.IsUpcallDue(vcpu))
        {
            Enter(vcpu, traps.EventCallback.Address, masksEvents: true, null);
        }
    }

    private static void Enter(PvVcpu vcpu, ulong handler, bool masksEvents, uint? errorCode, bool failsafe = false)
    {
        CpuState* state = vcpu.State;
        if (handler == 0)
        {
            vcpu.Domain.Crash(vcpu, $"the guest registered no entry point for what happened at {state->Rip:x}");
            return;
        }

        ulong codeSelector = state->Cs.Selector;
        ulong stack;
        if (vcpu.InKernel)
        {
            stack = state->Gpr[4];
            codeSelector &= ~3UL;
        }
        else
        {
            vcpu.SwitchMode(toKernel: true);
            stack = vcpu.Traps.KernelStack;
        }

        ulong savedMask = VcpuInfo.ReplaceUpcallMask(vcpu, masksEvents);
        ulong flags = state->Rflags & ~(Rflags.Interrupt | Rflags.IoPrivilege);
        flags |= savedMask == 0 ? Rflags.Interrupt : 0;
        flags |= vcpu.Traps.ArchitecturalIopl ? (ulong)vcpu.Traps.IoPrivilege << 12 : 0;

        Span<ulong> frame = stackalloc ulong[12];
        int count = 0;
        frame[count++] = state->Gpr[1];
        frame[count++] = state->Gpr[11];
        if (failsafe)
        {
            frame[count++] = state->Ds.Selector;
            frame[count++] = state->Es.Selector;
            frame[count++] = state->Fs.Selector;
            frame[count++] = state->Gs.Selector;
        }

        if (errorCode is { } code)
        {
            frame[count++] = code;
        }

        frame[count++] = state->Rip;
        frame[count++] = codeSelector | (savedMask << 32);
        frame[count++] = flags;
        frame[count++] = state->Gpr[4];
        frame[count++] = state->Ss.Selector;

        stack = (stack & ~15UL) - (ulong)(count * 8);
        if (!vcpu.Guest.TryWrite(stack, MemoryMarshal.AsBytes(frame[..count])))
        {
            vcpu.Domain.Crash(vcpu, $"no kernel stack at {stack:x} for the entry to {handler:x} from {state->Rip:x}");
            return;
        }

        state->Rflags = (state->Rflags & ~ClearedOnEntry) | Rflags.Interrupt | Rflags.AlwaysOne;
        state->Gpr[4] = stack;
        state->Rip = handler;
        SetFlatCode(state);

        // Xen leaves by SYSRET: what RCX and R11 hold in the handler is not the interrupted code's, and guests take those from the frame.
        state->Gpr[1] = handler;
        state->Gpr[11] = state->Rflags;
    }

    /// <summary>CS and SS as SYSRET leaves them.</summary>
    internal static void SetFlatCode(CpuState* state)
    {
        _ = FlatSegments.TryGet(FlatSegments.Code64, out state->Cs);
        _ = FlatSegments.TryGet(FlatSegments.Data, out state->Ss);
    }
}
