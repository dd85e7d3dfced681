using System.Buffers.Binary;
using Shinano.Cpu;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// Reads and writes a PV vCPU as struct vcpu_guest_context: for VCPUOP_initialise and for core dumps. Source: public/arch-x86/xen.h (64-bit layout, 5168 bytes).
/// </summary>
public static unsafe class VcpuContext
{
    /// <summary>sizeof(struct vcpu_guest_context).</summary>
    public const int Size = 5168;

    private const int FlagsOffset = 512;
    private const int RegistersOffset = 520;
    private const int RipOffset = 648;
    private const int CsOffset = 656;
    private const int MaskOffset = 660;
    private const int RflagsOffset = 664;
    private const int RspOffset = 672;
    private const int SsOffset = 680;
    private const int TrapsOffset = 720;
    private const int LdtOffset = 4816;
    private const int GdtFramesOffset = 4832;
    private const int GdtEntriesOffset = 4960;
    private const int KernelStackOffset = 4968;
    private const int ControlOffset = 4984;
    private const int DebugOffset = 5048;
    private const int CallbackOffset = 5112;
    private const int FsBaseOffset = 5144;
    private const ulong FpuValid = 1 << 0;
    private const ulong InKernel = 1 << 2;
    private const ulong FailsafeMasks = 1 << 3;
    private const ulong SyscallMasks = 1 << 4;
    private const ulong Online = 1 << 5;
    private const int FxsaveSize = 512;

    /// <summary>struct cpu_user_regs begins with these general registers, by their encoding.</summary>
    private static ReadOnlySpan<byte> RegisterOrder => [15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7];

    /// <summary>Machine frames of the GDT in a context.</summary>
    public static ulong[] GdtFrames(ReadOnlySpan<byte> context)
    {
        ulong[] frames = new ulong[16];
        for (int i = 0; i < frames.Length; i++)
        {
            frames[i] = Word(context, GdtFramesOffset + (i * 8));
        }

        return frames;
    }

    /// <summary>Descriptors in the GDT of a context.</summary>
    public static ulong GdtEntries(ReadOnlySpan<byte> context) => Word(context, GdtEntriesOffset);

    /// <summary>Linear address of the LDT in a context, and its descriptors.</summary>
    public static (ulong Address, ulong Entries) Ldt(ReadOnlySpan<byte> context) => (Word(context, LdtOffset), Word(context, LdtOffset + 8));

    /// <summary>Frame of the kernel's top-level table in a context (ctrlreg[3]).</summary>
    public static Mfn KernelRoot(ReadOnlySpan<byte> context) => new(Word(context, ControlOffset + 24) >> 12);

    /// <summary>Frame of the user mode's top-level table in a context (ctrlreg[1]); 0 when there is none.</summary>
    public static Mfn UserRoot(ReadOnlySpan<byte> context) => new(Word(context, ControlOffset + 8) >> 12);

    /// <summary>
    /// Loads registers, traps and callbacks of a vCPU that does not run yet. GDT, LDT and page-table roots are the MMU's and were loaded before.
    /// </summary>
    /// <returns>0, or -EINVAL when an address is not canonical; then nothing was changed.</returns>
    public static long Apply(PvVcpu vcpu, ReadOnlySpan<byte> context)
    {
        ulong flags = Word(context, FlagsOffset);
        if (!MsrPolicy.IsCanonical(Word(context, RipOffset)))
        {
            return -Errno.Invalid;
        }

        for (int offset = CallbackOffset; offset < CallbackOffset + 24; offset += 8)
        {
            if (!MsrPolicy.IsCanonical(Word(context, offset)))
            {
                return -Errno.Invalid;
            }
        }

        for (int offset = FsBaseOffset; offset < Size; offset += 8)
        {
            if (!MsrPolicy.IsCanonical(Word(context, offset)))
            {
                return -Errno.Invalid;
            }
        }

        InitialState.Apply(vcpu);
        CpuState* state = vcpu.State;
        if ((flags & FpuValid) != 0)
        {
            // SAFETY: the XSAVE area begins with the 512 bytes of an FXSAVE image.
            context[..FxsaveSize].CopyTo(new Span<byte>(state->Xsave, FxsaveSize));
            *(uint*)(state->Xsave + CpuState.MxcsrOffset) &= 0xFFFF;
            *(ulong*)(state->Xsave + CpuState.XstateBvOffset) = 3;
        }

        for (int i = 0; i < RegisterOrder.Length; i++)
        {
            state->Gpr[RegisterOrder[i]] = Word(context, RegistersOffset + (i * 8));
        }

        state->Rip = Word(context, RipOffset);
        state->Gpr[4] = Word(context, RspOffset);
        ulong rflags = Word(context, RflagsOffset);
        vcpu.Traps.IoPrivilege = (int)(rflags >> 12) & 3;
        state->Rflags = (rflags & (Rflags.Arithmetic | Rflags.Direction | Rflags.AlignmentCheck | Rflags.Identification))
            | Rflags.AlwaysOne | Rflags.Interrupt;
        LoadSegments(vcpu, context);
        LoadTraps(vcpu.Traps, context, flags);
        state->Fs.Base = Word(context, FsBaseOffset);
        vcpu.SwitchMode(toKernel: true);
        state->Gs.Base = Word(context, FsBaseOffset + 8);
        state->KernelGsBase = Word(context, FsBaseOffset + 16);
        vcpu.SwitchMode((flags & InKernel) != 0);
        for (ulong i = 0; i < 8; i++)
        {
            if (i is not (4 or 5))
            {
                _ = DebugRegisters.Set(vcpu, i, Word(context, DebugOffset + ((int)i * 8)));
            }
        }

        return 0;
    }

    /// <summary>Writes a vCPU that does not execute. GDT and LDT come from the MMU's books.</summary>
    public static void Save(PvVcpu vcpu, ReadOnlySpan<ulong> gdtFrames, ulong gdtEntries, Span<byte> context)
    {
        context[..Size].Clear();
        CpuState* state = vcpu.State;
        TrapState traps = vcpu.Traps;

        // SAFETY: as in Apply.
        new ReadOnlySpan<byte>(state->Xsave, FxsaveSize).CopyTo(context);
        Put(context, FlagsOffset, FpuValid | (vcpu.InKernel ? InKernel : 0) | (traps.FailsafeCallback.MasksEvents ? FailsafeMasks : 0)
            | (traps.SyscallCallback.MasksEvents ? SyscallMasks : 0) | (vcpu.Online ? Online : 0));
        for (int i = 0; i < RegisterOrder.Length; i++)
        {
            Put(context, RegistersOffset + (i * 8), state->Gpr[RegisterOrder[i]]);
        }

        bool masked = VcpuInfo.IsUpcallMasked(vcpu);
        Put(context, RipOffset, state->Rip);
        Put(context, CsOffset, vcpu.InKernel ? state->Cs.Selector & ~3UL : state->Cs.Selector);
        context[MaskOffset] = masked ? (byte)1 : (byte)0;
        Put(context, RflagsOffset, (state->Rflags & ~(Rflags.Interrupt | Rflags.IoPrivilege)) | (masked ? 0 : Rflags.Interrupt)
            | ((ulong)traps.IoPrivilege << 12));
        Put(context, RspOffset, state->Gpr[4]);
        Put(context, SsOffset, state->Ss.Selector);
        Put(context, SsOffset + 8, state->Es.Selector);
        Put(context, SsOffset + 16, state->Ds.Selector);
        Put(context, SsOffset + 24, state->Fs.Selector);
        Put(context, SsOffset + 32, state->Gs.Selector);
        for (int vector = 0; vector < 256; vector++)
        {
            TrapGate gate = traps[vector];
            Put(context, TrapsOffset + (vector * 16),
                (uint)vector | ((ulong)gate.Privilege << 8) | (gate.MasksEvents ? 1UL << 10 : 0) | ((ulong)gate.Selector << 16));
            Put(context, TrapsOffset + (vector * 16) + 8, gate.Address);
        }

        Put(context, LdtOffset, vcpu.LdtBase);
        Put(context, LdtOffset + 8, (ulong)vcpu.LdtEntries);
        for (int i = 0; i < Math.Min(16, gdtFrames.Length); i++)
        {
            Put(context, GdtFramesOffset + (i * 8), gdtFrames[i]);
        }

        Put(context, GdtEntriesOffset, gdtEntries);
        Put(context, KernelStackOffset, traps.KernelStackSelector);
        Put(context, KernelStackOffset + 8, traps.KernelStack);
        Put(context, ControlOffset, state->Cr0);
        Put(context, ControlOffset + 8, vcpu.UserRoot);
        Put(context, ControlOffset + 16, traps.GuestCr2);
        Put(context, ControlOffset + 24, vcpu.KernelRoot);
        Put(context, ControlOffset + 32, traps.GuestCr4);
        for (int i = 0; i < 8; i++)
        {
            Put(context, DebugOffset + (i * 8), state->Dr[i]);
        }

        Put(context, CallbackOffset, traps.EventCallback.Address);
        Put(context, CallbackOffset + 8, traps.FailsafeCallback.Address);
        Put(context, CallbackOffset + 16, traps.SyscallCallback.Address);
        Put(context, FsBaseOffset, state->Fs.Base);
        Put(context, FsBaseOffset + 8, vcpu.InKernel ? state->Gs.Base : state->KernelGsBase);
        Put(context, FsBaseOffset + 16, vcpu.InKernel ? state->KernelGsBase : state->Gs.Base);
    }

    private static void LoadTraps(TrapState traps, ReadOnlySpan<byte> context, ulong flags)
    {
        for (int vector = 0; vector < 256; vector++)
        {
            ulong head = Word(context, TrapsOffset + (vector * 16));
            ulong address = Word(context, TrapsOffset + (vector * 16) + 8);
            traps[vector] = address == 0 || !MsrPolicy.IsCanonical(address)
                ? default
                : new TrapGate(address, (ushort)((ushort)(head >> 16) | 3), (byte)((head >> 8) & 3), (head & (1 << 10)) != 0);
        }

        traps.KernelStackSelector = (ushort)(Word(context, KernelStackOffset) | 3);
        traps.KernelStack = Word(context, KernelStackOffset + 8);
        traps.EventCallback = new GuestCallback(Word(context, CallbackOffset));
        traps.FailsafeCallback = new GuestCallback(Word(context, CallbackOffset + 8), (flags & FailsafeMasks) != 0);
        traps.SyscallCallback = new GuestCallback(Word(context, CallbackOffset + 16), (flags & SyscallMasks) != 0);
    }

    /// <summary>Selectors that do not load leave the flat segments of <see cref="InitialState"/>, or null ones.</summary>
    private static void LoadSegments(PvVcpu vcpu, ReadOnlySpan<byte> context)
    {
        CpuState* state = vcpu.State;
        if (SegmentLoader.TryLoadCode(vcpu, (ushort)(Word(context, CsOffset) | 3), out SegmentRegister code))
        {
            state->Cs = code;
        }

        if (SegmentLoader.TryLoadStack(vcpu, (ushort)(Word(context, SsOffset) | 3), out SegmentRegister stack))
        {
            state->Ss = stack;
        }

        state->Es = Data(SsOffset + 8, context);
        state->Ds = Data(SsOffset + 16, context);
        state->Fs = Data(SsOffset + 24, context);
        state->Gs = Data(SsOffset + 32, context);

        SegmentRegister Data(int offset, ReadOnlySpan<byte> from) =>
            SegmentLoader.TryLoadData(vcpu, (ushort)Word(from, offset), out SegmentRegister segment) ? segment : FlatSegments.Null();
    }

    private static ulong Word(ReadOnlySpan<byte> context, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(context[offset..]);

    private static void Put(Span<byte> context, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(context[offset..], value);
}
