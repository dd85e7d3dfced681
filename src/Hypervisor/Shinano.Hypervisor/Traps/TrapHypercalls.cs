using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Hypervisor.Hypercalls;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// The hypercalls about traps and the CPU's own state: set_trap_table, set_callbacks, callback_op, nmi_op, stack_switch, fpu_taskswitch, set_debugreg,
/// get_debugreg, set_segment_base and iret.
/// </summary>
public static unsafe class TrapHypercalls
{
    /// <summary>Entries of set_trap_table served in one go.</summary>
    private const int TrapBatch = 64;

    private const ulong InSyscall = 1 << 8;

    /// <summary>Adds the handlers to a domain.</summary>
    public static void Register(Domain domain)
    {
        HypercallTable table = domain.Hypercalls;
        table.Add(HypercallNumber.SetTrapTable, SetTrapTable);
        table.Add(HypercallNumber.SetCallbacks, SetCallbacks);
        table.Add(HypercallNumber.CallbackOp, CallbackOperation);
        table.Add(HypercallNumber.NmiOp, NmiOperation);
        table.Add(HypercallNumber.StackSwitch, StackSwitch);
        table.Add(HypercallNumber.FpuTaskSwitch, FpuTaskSwitch);
        table.Add(HypercallNumber.SetDebugReg, static (PvVcpu vcpu, in HypercallArguments a) => DebugRegisters.Set(vcpu, a.A1, a.A2));
        table.Add(HypercallNumber.GetDebugReg, static (PvVcpu vcpu, in HypercallArguments a) =>
            DebugRegisters.TryGet(vcpu, a.A1, out ulong value) ? (long)value : -Errno.NoDevice);
        table.Add(HypercallNumber.SetSegmentBase, SetSegmentBase);
        table.Add(HypercallNumber.Iret, Iret);
    }

    private static long SetTrapTable(PvVcpu vcpu, in HypercallArguments arguments)
    {
        if (arguments.A1 == 0)
        {
            vcpu.Traps.ClearGates();
            return 0;
        }

        ulong address = arguments.A1;
        for (int i = 0; i < TrapBatch; i++, address += (ulong)sizeof(TrapInfo))
        {
            if (!vcpu.Guest.TryRead(address, out TrapInfo info))
            {
                return -Errno.Fault;
            }

            if (info.Address == 0)
            {
                return 0;
            }

            if (!MsrPolicy.IsCanonical(info.Address))
            {
                return -Errno.Invalid;
            }

            vcpu.Traps[info.Vector] = new TrapGate(info.Address, (ushort)(info.Selector | 3), (byte)(info.Flags & 3), (info.Flags & 4) != 0);
        }

        vcpu.State->Gpr[7] = address;
        return HypercallTable.Restart;
    }

    private static long SetCallbacks(PvVcpu vcpu, in HypercallArguments arguments)
    {
        // As Xen: a bad address is left out without an error, and the flags of before are cleared.
        _ = RegisterCallback(vcpu, new CallbackRegistration { Type = CallbackEvent, Address = arguments.A1 });
        _ = RegisterCallback(vcpu, new CallbackRegistration { Type = CallbackFailsafe, Address = arguments.A2 });
        _ = RegisterCallback(vcpu, new CallbackRegistration { Type = CallbackSyscall, Address = arguments.A3 });
        return 0;
    }

    private static long CallbackOperation(PvVcpu vcpu, in HypercallArguments arguments)
    {
        const ulong RegisterCommand = 0;
        const ulong UnregisterCommand = 1;
        switch (arguments.A1)
        {
            case RegisterCommand:
                return vcpu.Guest.TryRead(arguments.A2, out CallbackRegistration registration) ? RegisterCallback(vcpu, registration) : -Errno.Fault;
            case UnregisterCommand:
                if (!vcpu.Guest.TryRead(arguments.A2, out ushort type))
                {
                    return -Errno.Fault;
                }

                if (type == CallbackNmi)
                {
                    vcpu.Traps.SetNmiHandler(0);
                    return 0;
                }

                return type is CallbackEvent or CallbackFailsafe or CallbackSyscall or CallbackSysenter or CallbackSyscall32
                    ? -Errno.Invalid
                    : -Errno.NoSystemCall;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private static long RegisterCallback(PvVcpu vcpu, in CallbackRegistration registration)
    {
        if (!MsrPolicy.IsCanonical(registration.Address))
        {
            return -Errno.Invalid;
        }

        GuestCallback callback = new(registration.Address, (registration.Flags & 1) != 0);
        switch (registration.Type)
        {
            case CallbackEvent:
                vcpu.Traps.EventCallback = callback;
                return 0;
            case CallbackFailsafe:
                vcpu.Traps.FailsafeCallback = callback;
                return 0;
            case CallbackSyscall:
                vcpu.Traps.SyscallCallback = callback;
                return 0;
            case CallbackSyscall32:
                vcpu.Traps.Syscall32Callback = callback;
                return 0;
            case CallbackSysenter:
                vcpu.Traps.SysenterCallback = callback;
                return 0;
            case CallbackNmi:
                vcpu.Traps.SetNmiHandler(registration.Address);
                return 0;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private static long NmiOperation(PvVcpu vcpu, in HypercallArguments arguments)
    {
        // public/nmi.h: XENNMI_register_callback, XENNMI_unregister_callback.
        switch (arguments.A1)
        {
            case 0:
                if (!vcpu.Guest.TryRead(arguments.A2, out ulong handler))
                {
                    return -Errno.Fault;
                }

                if (!MsrPolicy.IsCanonical(handler))
                {
                    return -Errno.Invalid;
                }

                vcpu.Traps.SetNmiHandler(handler);
                return 0;
            case 1:
                vcpu.Traps.SetNmiHandler(0);
                return 0;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private static long StackSwitch(PvVcpu vcpu, in HypercallArguments arguments)
    {
        vcpu.Traps.KernelStackSelector = (ushort)(arguments.A1 | 3);
        vcpu.Traps.KernelStack = arguments.A2;
        return 0;
    }

    private static long FpuTaskSwitch(PvVcpu vcpu, in HypercallArguments arguments)
    {
        if (arguments.A1 != 0)
        {
            vcpu.State->Cr0 |= DebugRegisters.Cr0TaskSwitched;
        }
        else
        {
            vcpu.State->Cr0 &= ~DebugRegisters.Cr0TaskSwitched;
        }

        return 0;
    }

    private static long SetSegmentBase(PvVcpu vcpu, in HypercallArguments arguments)
    {
        // public/arch-x86/xen-x86_64.h: SEGBASE_*.
        ulong value = arguments.A2;
        if (arguments.A1 <= 2 && !MsrPolicy.IsCanonical(value))
        {
            return -Errno.Invalid;
        }

        switch (arguments.A1)
        {
            case 0:
                vcpu.State->Fs.Base = value;
                return 0;
            case 1:
                vcpu.State->KernelGsBase = value;
                return 0;
            case 2:
                vcpu.State->Gs.Base = value;
                return 0;
            case 3:
                LoadUserGs(vcpu, (ushort)value);
                return 0;
            default:
                return -Errno.Invalid;
        }
    }

    /// <summary>Loads GS for user mode; a selector that does not load gives the null selector and no error, as guests expect.</summary>
    private static void LoadUserGs(PvVcpu vcpu, ushort selector)
    {
        ushort wanted = selector > 3 ? (ushort)(selector | 3) : selector;
        if (!SegmentLoader.TryLoadData(vcpu, wanted, out SegmentRegister segment))
        {
            segment = FlatSegments.Null();
        }

        vcpu.State->KernelGsBase = segment.Base;

        // The selector and the rest are not swapped with the base: only the kernel's own base stays.
        segment.Base = vcpu.State->Gs.Base;
        vcpu.State->Gs = segment;
    }

    /// <summary>Returns from the guest kernel as the frame on its stack says. Source: public/arch-x86/xen-x86_64.h: HYPERVISOR_iret.</summary>
    private static long Iret(PvVcpu vcpu, in HypercallArguments arguments)
    {
        CpuState* state = vcpu.State;
        if (!vcpu.Guest.TryRead(state->Gpr[4], out IretContext frame))
        {
            vcpu.Domain.Crash(vcpu, $"iret: no frame at {state->Gpr[4]:x}");
            return HypercallTable.RegistersLoaded;
        }

        if ((frame.Cs & 3) == 3)
        {
            if (vcpu.UserRoot == 0)
            {
                vcpu.Domain.Crash(vcpu, "iret to user mode without user page tables");
                return HypercallTable.RegistersLoaded;
            }

            vcpu.SwitchMode(toKernel: false);
        }

        if (vcpu.Traps.ArchitecturalIopl)
        {
            vcpu.Traps.IoPrivilege = (int)(frame.Rflags >> 12) & 3;
        }

        state->Rip = frame.Rip;
        state->Rflags = (frame.Rflags & LoadableFlags) | Rflags.Interrupt | Rflags.AlwaysOne;
        state->Gpr[4] = frame.Rsp;
        VcpuInfo.SetUpcallMask(vcpu, (frame.Rflags & Rflags.Interrupt) == 0);
        vcpu.Traps.InNmi = false;

        if ((frame.Flags & InSyscall) != 0)
        {
            // SYSRET: flat segments, RCX and R11 from RIP and RFLAGS.
            state->Gpr[1] = frame.Rip;
            state->Gpr[11] = state->Rflags;
            TrapDelivery.SetFlatCode(state);
            if ((frame.Cs | 3) == FlatSegments.Code32)
            {
                _ = FlatSegments.TryGet(FlatSegments.Code32, out state->Cs);
            }

            if (!MsrPolicy.IsCanonical(frame.Rip))
            {
                state->Gpr[0] = frame.Rax;
                TrapDelivery.InjectFailsafe(vcpu);
                return HypercallTable.RegistersLoaded;
            }

            state->Gpr[0] = frame.Rax;
            return HypercallTable.RegistersLoaded;
        }

        state->Gpr[0] = frame.Rax;
        state->Gpr[11] = frame.R11;
        state->Gpr[1] = frame.Rcx;
        bool loads = SegmentLoader.TryLoadCode(vcpu, (ushort)(frame.Cs | 3), out SegmentRegister code)
            & SegmentLoader.TryLoadStack(vcpu, (ushort)(frame.Ss | 3), out SegmentRegister stack);
        state->Cs = code;
        state->Ss = stack;
        if (!loads || !MsrPolicy.IsCanonical(frame.Rip))
        {
            state->Cs.Selector = (ushort)(frame.Cs | 3);
            state->Ss.Selector = (ushort)(frame.Ss | 3);
            TrapDelivery.InjectFailsafe(vcpu);
        }
        else if ((code.Attributes & SegmentRegister.LongMode) == 0)
        {
            state->Rip = (uint)frame.Rip;
            state->Gpr[4] = (uint)frame.Rsp;
        }

        return HypercallTable.RegistersLoaded;
    }

    // CF PF AF ZF SF TF DF OF NT RF AC ID; not IOPL, VM, VIF, VIP.
    private const ulong LoadableFlags = Rflags.Arithmetic | Rflags.Trap | Rflags.Direction | Rflags.NestedTask | Rflags.Resume | Rflags.AlignmentCheck
        | Rflags.Identification;

    // public/callback.h: CALLBACKTYPE_*.
    private const ushort CallbackEvent = 0;
    private const ushort CallbackFailsafe = 1;
    private const ushort CallbackSyscall = 2;
    private const ushort CallbackNmi = 4;
    private const ushort CallbackSysenter = 5;
    private const ushort CallbackSyscall32 = 7;

    [StructLayout(LayoutKind.Sequential)]
    private struct TrapInfo
    {
        public byte Vector;
        public byte Flags;
        public ushort Selector;
        private readonly uint _padding;
        public ulong Address;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct CallbackRegistration
    {
        public ushort Type;
        public ushort Flags;
        private readonly uint _padding;
        public ulong Address;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct IretContext
    {
        public ulong Rax;
        public ulong R11;
        public ulong Rcx;
        public ulong Flags;
        public ulong Rip;
        public ulong Cs;
        public ulong Rflags;
        public ulong Rsp;
        public ulong Ss;
    }
}
