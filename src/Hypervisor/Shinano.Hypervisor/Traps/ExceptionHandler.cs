using Shinano.Cpu;
using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>What happens to an exception of guest code: emulation, or delivery through the virtual IDT. One per vCPU, on its thread.</summary>
internal sealed unsafe class ExceptionHandler
{
    /// <summary>Error code of a fault in an IDT entry: INT n (SDM 3A §6.13).</summary>
    private const uint InterruptTableBit = 2;

    /// <summary>After so many faults in a row at the same place that the page tables do not explain, the guest is told.</summary>
    private const int SpuriousLimit = 16;

    private readonly PvVcpu _vcpu;
    private readonly PrivilegedInstructions _privileged;
    private readonly long[] _counts = new long[32];
    private ulong _spuriousRip;
    private ulong _spuriousAddress;
    private int _spuriousCount;

    public ExceptionHandler(PvVcpu vcpu, CpuidPolicy cpuid)
    {
        _vcpu = vcpu;
        _privileged = new PrivilegedInstructions(vcpu, cpuid);
    }

    public long CountOf(ExceptionVector vector) => Volatile.Read(ref _counts[(int)vector & 31]);

    public void Handle(in CpuExit exit)
    {
        _counts[(int)exit.Vector & 31]++;
        switch (exit.Vector)
        {
            case ExceptionVector.PageFault:
                PageFault(exit.Address, (PageFaultErrors)exit.ErrorCode);
                break;
            case ExceptionVector.GeneralProtection:
                GeneralProtection(exit.ErrorCode);
                break;
            case ExceptionVector.InvalidOpcode:
                if (!_privileged.TryForcedEmulation())
                {
                    TrapDelivery.Inject(_vcpu, ExceptionVector.InvalidOpcode);
                }

                break;
            case ExceptionVector.DeviceNotAvailable:
                // As Xen: the guest's TS is off when its handler runs.
                TrapDelivery.Inject(_vcpu, ExceptionVector.DeviceNotAvailable);
                _vcpu.State->Cr0 &= ~DebugRegisters.Cr0TaskSwitched;
                break;
            case ExceptionVector.Debug:
                TrapDelivery.InjectDebug(_vcpu, exit.DebugStatus);
                break;
            default:
                TrapDelivery.Inject(_vcpu, exit.Vector, exit.ErrorCode);
                break;
        }
    }

    /// <summary>An instruction at RIP that the engine reports as privileged without raising #GP.</summary>
    public void HandlePrivileged() => GeneralProtection(0);

    private void GeneralProtection(uint errorCode)
    {
        if ((errorCode & InterruptTableBit) != 0)
        {
            // INT n: the guest kernel counts as ring 1 (ring 0 with architectural IOPL), and a gate of DPL 0 is for no INT instruction.
            byte vector = (byte)(errorCode >> 3);
            TrapGate gate = _vcpu.Traps[vector];
            if (gate.Address != 0 && gate.Privilege >= (_vcpu.InKernel ? 1 : 3))
            {
                _vcpu.State->Rip += 2;
                _vcpu.State->Rflags &= ~Rflags.Resume;
                TrapDelivery.InjectSoftware(_vcpu, vector);
                return;
            }
        }
        else if (errorCode == 0 && _privileged.TryEmulate())
        {
            return;
        }

        TrapDelivery.Inject(_vcpu, ExceptionVector.GeneralProtection, errorCode);
    }

    private void PageFault(ulong address, PageFaultErrors errors)
    {
        if (_vcpu.Domain.PageFaultFilter is { } filter && filter(_vcpu, address, errors))
        {
            return;
        }

        if (IsSpurious(address, errors))
        {
            return;
        }

        TrapDelivery.InjectPageFault(_vcpu, address, errors);
    }

    /// <summary>A fault that the tables no longer explain: another vCPU changed them. The instruction is tried again.</summary>
    private bool IsSpurious(ulong address, PageFaultErrors errors)
    {
        PageFaultErrors access = errors & (PageFaultErrors.Write | PageFaultErrors.InstructionFetch);
        if ((errors & PageFaultErrors.ReservedBit) != 0 || !_vcpu.Guest.TryTranslate(address, access, out _))
        {
            return false;
        }

        CpuState* state = _vcpu.State;
        if (state->Rip == _spuriousRip && address == _spuriousAddress)
        {
            if (++_spuriousCount > SpuriousLimit)
            {
                _spuriousCount = 0;
                return false;
            }
        }
        else
        {
            (_spuriousRip, _spuriousAddress, _spuriousCount) = (state->Rip, address, 0);
        }

        _vcpu.Cpu.FlushPage(address);
        return true;
    }
}
