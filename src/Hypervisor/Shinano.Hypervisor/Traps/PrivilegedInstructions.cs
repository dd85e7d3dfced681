using Iced.Intel;
using Shinano.Cpu;
using Shinano.Linux;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// Emulates what a PV kernel may execute although it runs at CPL 3: the instructions that Xen's pv/emul-priv-op.c accepts. An instruction that is none of
/// those, or is refused, is the guest's #GP.
/// </summary>
internal sealed unsafe class PrivilegedInstructions(PvVcpu vcpu, CpuidPolicy cpuid)
{
    private const int MaximumLength = 15;
    private const ulong Cr0Fixed = 0x8005003B & ~DebugRegisters.Cr0TaskSwitched;

    // CR4 bits that a PV guest may set for itself: TSD, DE, FSGSBASE (and OSXSAVE, which only shows what is on already).
    /// <summary>Bits of CR4 that the guest sets for itself.</summary>
    internal const ulong Cr4GuestOwned = (1 << 2) | (1 << 3) | (1 << 16);
    private const ulong Xcr0Legal = 7;

    /// <summary>
    /// The counter of the 8254 that is not there. All ones, as Xen gives, is what Linux waits for first: it would read the port a hundred thousand times at each boot.
    /// </summary>
    private const ushort TimerChannel2 = 0x42;

    private readonly byte[] _bytes = new byte[MaximumLength];

    /// <summary>CR4 as the hardware has it for every PV guest: PAE, OSFXSR, OSXMMEXCPT; OSXSAVE and FSGSBASE are added when advertised.</summary>
    public const ulong Cr4Fixed = (1 << 5) | (1 << 9) | (1 << 10);

    /// <summary>
    /// UD2 followed by "xen" and CPUID: the forced emulation that PV kernels use to see the policy and not the hardware. Source: public/arch-x86/xen.h.
    /// </summary>
    public bool TryForcedEmulation()
    {
        Span<byte> code = stackalloc byte[7];
        if (!vcpu.Guest.TryRead(vcpu.State->Rip, code) || !code.SequenceEqual((ReadOnlySpan<byte>)[0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2]))
        {
            return false;
        }

        cpuid.Execute(vcpu);
        vcpu.State->Rip += (ulong)code.Length;
        TrapDelivery.CompleteInstruction(vcpu);
        return true;
    }

    /// <summary>Emulates the instruction at RIP. False: the guest gets #GP.</summary>
    public bool TryEmulate()
    {
        CpuState* state = vcpu.State;
        int available = Fetch(state->Rip);
        int bitness = (state->Cs.Attributes & SegmentRegister.LongMode) != 0 ? 64 : (state->Cs.Attributes & SegmentRegister.DefaultBig) != 0 ? 32 : 16;
        Decoder decoder = Decoder.Create(bitness, new ByteArrayCodeReader(_bytes, 0, available));
        decoder.IP = state->Rip;
        decoder.Decode(out Instruction instruction);
        if (instruction.IsInvalid || !Execute(in instruction))
        {
            return false;
        }

        state->Rip += (ulong)instruction.Length;
        TrapDelivery.CompleteInstruction(vcpu);
        return true;
    }

    private bool Execute(in Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.In or Mnemonic.Out:
                return PortAccess(in instruction);
            case Mnemonic.Cli or Mnemonic.Sti:
                // As Xen: no effect on the upcall mask, which a later POPF could not restore.
                return IoPrivilegeSuffices();
            case Mnemonic.Cpuid:
                cpuid.Execute(vcpu);
                return true;
            case Mnemonic.Rdtsc:
                SplitToEdxEax(TimeStampCounter.Read() + vcpu.State->TscOffset);
                return true;
        }

        if (!vcpu.InKernel)
        {
            return false;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when instruction.Op0Register.IsCR():
                return WriteControl(instruction.Op0Register, Read(instruction.Op1Register));
            case Mnemonic.Mov when instruction.Op1Register.IsCR():
                return ReadControl(instruction.Op1Register, instruction.Op0Register);
            case Mnemonic.Mov when instruction.Op0Register.IsDR():
                return DebugRegisters.Set(vcpu, (ulong)(instruction.Op0Register - Register.DR0), Read(instruction.Op1Register)) == 0;
            case Mnemonic.Mov when instruction.Op1Register.IsDR():
                if (!DebugRegisters.TryGet(vcpu, (ulong)(instruction.Op1Register - Register.DR0), out ulong value))
                {
                    return false;
                }

                Write(instruction.Op0Register, value);
                return true;
            case Mnemonic.Clts:
                vcpu.State->Cr0 &= ~DebugRegisters.Cr0TaskSwitched;
                return true;
            case Mnemonic.Rdmsr:
                return ReadMsr();
            case Mnemonic.Wrmsr:
                return MsrPolicy.TryWrite(vcpu, cpuid, (uint)vcpu.State->Gpr[1], EdxEax);
            case Mnemonic.Xsetbv:
                return SetXcr();
            case Mnemonic.Wbinvd or Mnemonic.Wbnoinvd or Mnemonic.Invd:
                return true;
            default:
                return false;
        }
    }

    private ulong EdxEax => (vcpu.State->Gpr[2] << 32) | (uint)vcpu.State->Gpr[0];

    private bool ReadMsr()
    {
        if (!MsrPolicy.TryRead(vcpu, cpuid, (uint)vcpu.State->Gpr[1], out ulong value))
        {
            return false;
        }

        SplitToEdxEax(value);
        return true;
    }

    private bool SetXcr()
    {
        // SDM 2D, XSETBV: x87 is always on, AVX needs SSE.
        ulong value = EdxEax;
        if ((uint)vcpu.State->Gpr[1] != 0 || (value & 1) == 0 || (value & ~(Xcr0Legal & cpuid.XsaveFeatures)) != 0 || (value & 6) == 4)
        {
            return false;
        }

        vcpu.State->Xcr0 = value;
        return true;
    }

    private bool ReadControl(Register source, Register destination)
    {
        ulong? value = source switch
        {
            Register.CR0 => Cr0Fixed | (vcpu.State->Cr0 & DebugRegisters.Cr0TaskSwitched),
            Register.CR2 => vcpu.Traps.GuestCr2,
            Register.CR3 => vcpu.KernelRoot,
            Register.CR4 => vcpu.Traps.GuestCr4 | Cr4Fixed | (vcpu.State->Cr4 & (1 << 18)),
            _ => null,
        };
        if (value is not { } read)
        {
            return false;
        }

        Write(destination, read);
        return true;
    }

    private bool WriteControl(Register destination, ulong value)
    {
        switch (destination)
        {
            case Register.CR0:
                if (((value ^ Cr0Fixed) & ~DebugRegisters.Cr0TaskSwitched) != 0)
                {
                    return false;
                }

                vcpu.State->Cr0 = Cr0Fixed | (value & DebugRegisters.Cr0TaskSwitched);
                return true;
            case Register.CR2:
                vcpu.Traps.GuestCr2 = value;
                VcpuInfo.WriteCr2(vcpu, value);
                return true;
            case Register.CR3:
                return vcpu.Domain.LoadRoot is { } load && load(vcpu, new Mfn(value >> 12));
            case Register.CR4:
                // Bits that are not the guest's keep their value, as pv_fixup_guest_cr4 has it.
                vcpu.Traps.GuestCr4 = value & Cr4GuestOwned;
                vcpu.State->Cr4 = (vcpu.State->Cr4 & ~(1UL << 2)) | (value & (1 << 2));
                return true;
            default:
                return false;
        }
    }

    /// <summary>No port belongs to a PV domain: reads give all ones and writes vanish, for a guest whose I/O privilege allows the instruction.</summary>
    private bool PortAccess(in Instruction instruction)
    {
        if (!IoPrivilegeSuffices())
        {
            return false;
        }

        if (instruction.Mnemonic == Mnemonic.In)
        {
            Write(instruction.Op0Register, PortOf(instruction) == TimerChannel2 && instruction.Op0Register == Register.AL ? 0 : ulong.MaxValue);
        }

        return true;
    }

    private ushort PortOf(in Instruction instruction) =>
        instruction.Op1Kind == OpKind.Register ? (ushort)vcpu.State->Gpr[2] : instruction.Immediate8;

    private bool IoPrivilegeSuffices()
    {
        int level = vcpu.InKernel ? (vcpu.Traps.ArchitecturalIopl ? 0 : 1) : 3;
        return level <= vcpu.Traps.IoPrivilege;
    }

    private ulong Read(Register register) => vcpu.State->Gpr[register.GetFullRegister() - Register.RAX];

    private void Write(Register register, ulong value)
    {
        ref ulong full = ref vcpu.State->Gpr[register.GetFullRegister() - Register.RAX];
        full = register.GetSize() switch
        {
            1 => (full & ~0xFFUL) | (byte)value,
            2 => (full & ~0xFFFFUL) | (ushort)value,
            4 => (uint)value,
            _ => value,
        };
    }

    private void SplitToEdxEax(ulong value)
    {
        vcpu.State->Gpr[0] = (uint)value;
        vcpu.State->Gpr[2] = value >> 32;
    }

    /// <summary>Reads up to 15 bytes of code; fewer where the next page is not there.</summary>
    private int Fetch(ulong address)
    {
        if (vcpu.Guest.TryRead(address, _bytes))
        {
            return MaximumLength;
        }

        int inPage = (int)Math.Min(MaximumLength, 4096 - (address & 4095));
        return vcpu.Guest.TryRead(address, _bytes.AsSpan(0, inPage)) ? inPage : 0;
    }
}
