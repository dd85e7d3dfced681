using Shinano.Cpu;
using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>The CPU state in which every 64-bit PV vCPU starts: long mode, paging on, CPL 3, flat segments, interrupts enabled.</summary>
public static unsafe class InitialState
{
    // PE, MP, ET, NE, WP, AM, PG.
    private const ulong Cr0 = 0x80050033;

    // PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE.
    private const ulong Cr4 = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 16) | (1 << 18);

    // SCE, LME, LMA, NXE.
    private const ulong Efer = (1 << 0) | (1 << 8) | (1 << 10) | (1 << 11);

    /// <summary>Resets the registers; keeps roots, GDT and LDT, which are the MMU's.</summary>
    public static void Apply(PvVcpu vcpu)
    {
        CpuState* state = vcpu.State;
        ulong root = state->Cr3;
        ulong context = state->TranslationContext;
        SegmentRegister gdtr = state->Gdtr;
        SegmentRegister ldtr = state->Ldtr;
        RegisterTable.Reset(state);
        state->Cr3 = root;
        state->TranslationContext = context;
        state->Gdtr = gdtr;
        state->Ldtr = ldtr;
        state->Gpr[2] = 0;
        state->Rip = 0;
        state->Cr0 = Cr0;
        state->Cr4 = Cr4;
        state->Efer = Efer;
        state->Cpl = 3;
        state->Pat = MsrPolicy.PatValue;
        state->Rflags = Rflags.AlwaysOne | Rflags.Interrupt;
        TrapDelivery.SetFlatCode(state);
        state->Ds = FlatSegments.Null();
        state->Es = FlatSegments.Null();
        state->Fs = FlatSegments.Null();
        state->Gs = FlatSegments.Null();
        state->Idtr = default;
    }

    /// <summary>Sets the registers with which the first vCPU enters a kernel. Source: public/xen.h: start-of-day: RSI is start_info, RSP the stack.</summary>
    public static void Enter(PvVcpu vcpu, ulong entry, ulong stack, ulong startInfo)
    {
        vcpu.State->Rip = entry;
        vcpu.State->Gpr[4] = stack;
        vcpu.State->Gpr[6] = startInfo;
    }
}
