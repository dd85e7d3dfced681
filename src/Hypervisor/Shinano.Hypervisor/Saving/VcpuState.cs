using Shinano.Cpu;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Traps;
using Shinano.SavedState;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Saving;

/// <summary>
/// A vCPU in a saved domain: every register of <see cref="RegisterTable"/>, page-table roots, descriptor tables, traps and callbacks. What no guest can choose
/// is not believed: those registers are set as for a new vCPU, and segments are loaded anew from the descriptor tables.
/// </summary>
internal static unsafe class VcpuState
{
    private const ulong GuestFlags = Rflags.Arithmetic | Rflags.Trap | Rflags.Direction | Rflags.NestedTask | Rflags.Resume
        | Rflags.AlignmentCheck | Rflags.Identification;

    private const ulong Cr4TimeStampDisable = 1 << 2;

    /// <summary>Writes a vCPU that executes nothing.</summary>
    public static void Save(StateWriter writer, PvVcpu vcpu)
    {
        writer.Mark("REGS"u8);
        writer.PutFlag(vcpu.Online);
        writer.PutFlag(vcpu.InKernel);
        writer.Put(vcpu.KernelRoot >> 12);
        writer.Put(vcpu.UserRoot >> 12);
        writer.PutAll(vcpu.GdtFrames, (w, frame) => w.Put(frame));
        writer.Put(vcpu.LdtBase);
        writer.Put((uint)vcpu.LdtEntries);
        byte[] registers = new byte[RegisterTable.SavedSize];
        RegisterTable.Save(vcpu.State, registers);
        writer.PutBytes(registers);
        SaveTraps(writer, vcpu.Traps);
    }

    /// <summary>Reads what <see cref="Save"/> wrote into a new vCPU. Memory and pins are there already.</summary>
    /// <param name="cpuid">What the domain's CPU can.</param>
    /// <param name="tscOffset">To be added to this host's TSC so that the guest's goes on where it was.</param>
    public static void Load(StateReader reader, PvVcpu vcpu, MmuHypercalls mmu, CpuidPolicy cpuid, ulong tscOffset)
    {
        reader.Expect("REGS"u8);
        vcpu.Online = reader.GetFlag();
        bool inKernel = reader.GetFlag();
        LoadRoot(mmu, vcpu, reader.Get<ulong>(), user: false);
        LoadRoot(mmu, vcpu, reader.Get<ulong>(), user: true);
        StateReader.Demand(!vcpu.Online || vcpu.KernelRoot != 0, $"vCPU {vcpu.Id} runs without page tables");
        ulong[] gdt = new ulong[reader.GetCount(AddressSpaceLayout.GuestGdtFrames)];
        foreach (ref ulong frame in gdt.AsSpan())
        {
            frame = reader.Get<ulong>();
        }

        StateReader.Demand(mmu.LoadGdt(vcpu, gdt) == 0, $"the GDT of vCPU {vcpu.Id} was refused");
        ulong ldt = reader.Get<ulong>();
        StateReader.Demand(mmu.Descriptors.SetLdt(vcpu, ldt, reader.Get<uint>()) == 0, $"the LDT of vCPU {vcpu.Id} was refused");
        vcpu.SwitchMode(inKernel);
        LoadRegisters(vcpu, reader.GetBytes(ushort.MaxValue).Span, cpuid);
        vcpu.State->TscOffset = tscOffset;
        LoadTraps(reader, vcpu.Traps);
        ulong dr7 = vcpu.State->Dr[7];
        vcpu.State->Dr[7] = 0x400;
        for (ulong i = 0; i < 4; i++)
        {
            StateReader.Demand(DebugRegisters.Set(vcpu, i, vcpu.State->Dr[i]) == 0, $"DR{i} of vCPU {vcpu.Id} cannot be");
        }

        StateReader.Demand(
            DebugRegisters.Set(vcpu, 6, vcpu.State->Dr[6]) == 0 && DebugRegisters.Set(vcpu, 7, dr7) == 0, $"DR6 or DR7 of vCPU {vcpu.Id} cannot be");
    }

    private static void LoadRoot(MmuHypercalls mmu, PvVcpu vcpu, ulong frame, bool user) => StateReader.Demand(
        frame == 0 || mmu.LoadRoot(vcpu, frame, user) == 0, $"the root table {frame:x} of vCPU {vcpu.Id} was refused");

    private static void LoadRegisters(PvVcpu vcpu, ReadOnlySpan<byte> saved, CpuidPolicy cpuid)
    {
        StateReader.Demand(saved.Length == RegisterTable.SavedSize, $"{saved.Length} bytes of registers where there are {RegisterTable.SavedSize}");
        InitialState.Apply(vcpu);
        CpuState* state = vcpu.State;
        CpuState fresh = *state;
        RegisterTable.Restore(state, saved);
        SegmentRegister codeOf = state->Cs;
        SegmentRegister stackOf = state->Ss;
        (ulong fs, ulong gs) = (state->Fs.Base, state->Gs.Base);
        foreach (ulong address in (ReadOnlySpan<ulong>)[state->Rip, fs, gs, state->KernelGsBase])
        {
            StateReader.Demand(MsrPolicy.IsCanonical(address), $"vCPU {vcpu.Id} has an address of {address:x}");
        }

        state->Cs = fresh.Cs;
        state->Ss = fresh.Ss;
        if (SegmentLoader.TryLoadCode(vcpu, (ushort)(codeOf.Selector | 3), out SegmentRegister code))
        {
            state->Cs = code;
        }

        if (SegmentLoader.TryLoadStack(vcpu, (ushort)(stackOf.Selector | 3), out SegmentRegister stack))
        {
            state->Ss = stack;
        }

        state->Es = Data(vcpu, state->Es.Selector);
        state->Ds = Data(vcpu, state->Ds.Selector);
        state->Fs = Data(vcpu, state->Fs.Selector);
        state->Gs = Data(vcpu, state->Gs.Selector);
        state->Fs.Base = fs;
        state->Gs.Base = gs;
        state->Rflags = (state->Rflags & GuestFlags) | Rflags.AlwaysOne | Rflags.Interrupt;
        state->Cr0 = fresh.Cr0 | (state->Cr0 & DebugRegisters.Cr0TaskSwitched);
        state->Cr4 = fresh.Cr4 | (state->Cr4 & Cr4TimeStampDisable);
        (state->Cr3, state->Cr8, state->Efer) = (fresh.Cr3, fresh.Cr8, fresh.Efer);
        (state->Ldtr, state->Tr, state->Gdtr, state->Idtr) = (fresh.Ldtr, fresh.Tr, fresh.Gdtr, fresh.Idtr);
        (state->Star, state->Lstar, state->Cstar, state->SfMask) = (fresh.Star, fresh.Lstar, fresh.Cstar, fresh.SfMask);
        (state->SysenterCs, state->SysenterEsp, state->SysenterEip) = (fresh.SysenterCs, fresh.SysenterEsp, fresh.SysenterEip);
        (state->Pat, state->ApicBase, state->Cpl) = (fresh.Pat, fresh.ApicBase, fresh.Cpl);
        state->TscAux &= uint.MaxValue;
        state->TranslationContext = fresh.TranslationContext;
        state->InterruptShadow &= 1;
        state->Xcr0 = (state->Xcr0 & cpuid.XsaveFeatures) | 1;
        *(uint*)(state->Xsave + CpuState.MxcsrOffset) &= 0xFFFF;
        *(uint*)(state->Xsave + CpuState.MxcsrOffset + sizeof(uint)) = 0xFFFF;
        *(ulong*)(state->Xsave + CpuState.XstateBvOffset) &= cpuid.XsaveFeatures | 3;
        new Span<byte>(state->Xsave + CpuState.XstateBvOffset + sizeof(ulong), 56).Clear();
    }

    private static SegmentRegister Data(PvVcpu vcpu, ushort selector) =>
        SegmentLoader.TryLoadData(vcpu, selector, out SegmentRegister segment) ? segment : FlatSegments.Null();

    private static void SaveTraps(StateWriter writer, TrapState traps)
    {
        writer.Mark("TRAP"u8);
        for (int vector = 0; vector < 256; vector++)
        {
            TrapGate gate = traps[vector];
            writer.Put(gate.Address);
            writer.Put(gate.Selector);
            writer.Put(gate.Privilege);
            writer.PutFlag(gate.MasksEvents);
        }

        foreach (GuestCallback callback in (ReadOnlySpan<GuestCallback>)
            [traps.EventCallback, traps.FailsafeCallback, traps.SyscallCallback, traps.Syscall32Callback, traps.SysenterCallback])
        {
            writer.Put(callback.Address);
            writer.PutFlag(callback.MasksEvents);
        }

        writer.Put(traps.KernelStack);
        writer.Put(traps.KernelStackSelector);
        writer.Put((byte)traps.IoPrivilege);
        writer.Put(traps.GuestCr4);
        writer.Put(traps.GuestCr2);
        writer.PutFlag(traps.NmiPending);
        writer.PutFlag(traps.InNmi);
    }

    private static void LoadTraps(StateReader reader, TrapState traps)
    {
        reader.Expect("TRAP"u8);
        for (int vector = 0; vector < 256; vector++)
        {
            ulong address = reader.Get<ulong>();
            TrapGate gate = new(address, reader.Get<ushort>(), reader.Get<byte>(), reader.GetFlag());
            StateReader.Demand(MsrPolicy.IsCanonical(address) && gate.Privilege <= 3, $"the gate of vector {vector} cannot be");
            traps[vector] = gate;
        }

        traps.EventCallback = Callback(reader);
        traps.FailsafeCallback = Callback(reader);
        traps.SyscallCallback = Callback(reader);
        traps.Syscall32Callback = Callback(reader);
        traps.SysenterCallback = Callback(reader);
        traps.KernelStack = reader.Get<ulong>();
        traps.KernelStackSelector = reader.Get<ushort>();
        traps.IoPrivilege = reader.Get<byte>() & 3;
        traps.GuestCr4 = reader.Get<ulong>() & PrivilegedInstructions.Cr4GuestOwned;
        traps.GuestCr2 = reader.Get<ulong>();
        if (reader.GetFlag())
        {
            traps.RaiseNmi();
        }

        traps.InNmi = reader.GetFlag();
    }

    private static GuestCallback Callback(StateReader reader)
    {
        GuestCallback callback = new(reader.Get<ulong>(), reader.GetFlag());
        StateReader.Demand(MsrPolicy.IsCanonical(callback.Address), $"a callback cannot be at {callback.Address:x}");
        return callback;
    }
}
