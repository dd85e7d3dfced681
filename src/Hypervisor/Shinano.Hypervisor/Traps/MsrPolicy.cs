using Shinano.Cpu;
using Shinano.Linux;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// The MSRs a PV guest kernel can reach with RDMSR and WRMSR: bases, TSC, and those that CPUID's features promise. Every other index is #GP, as in Xen 4.17
/// (msr_relaxed off).
/// </summary>
internal static unsafe class MsrPolicy
{
    private const uint Tsc = 0x10;
    private const uint ApicBase = 0x1B;
    private const uint MicrocodeRevision = 0x8B;
    private const uint MiscEnable = 0x1A0;
    private const uint Pat = 0x277;
    private const uint PerfCapabilities = 0x345;
    private const uint Efer = 0xC0000080;
    private const uint FsBase = 0xC0000100;
    private const uint GsBase = 0xC0000101;
    private const uint ShadowGsBase = 0xC0000102;
    private const uint TscAux = 0xC0000103;
    private const uint AmdSystemConfiguration = 0xC0010010;
    private const uint AmdHardwareConfiguration = 0xC0010015;
    private const uint AmdDecodeConfiguration = 0xC0011029;

    /// <summary>Xen's own PAT (asm-x86/processor.h: XEN_MSR_PAT), which PV guests share.</summary>
    public const ulong PatValue = 0x050100070406;

    // IA32_MISC_ENABLE: BTS and PEBS unavailable (bits 11, 12), fast strings (0).
    private const ulong MiscEnableValue = (1 << 11) | (1 << 12) | 1;

    /// <summary>Reads an MSR; false for #GP.</summary>
    public static bool TryRead(PvVcpu vcpu, CpuidPolicy cpuid, uint index, out ulong value)
    {
        CpuState* state = vcpu.State;
        value = index switch
        {
            Tsc => TimeStampCounter.Read() + state->TscOffset,
            ApicBase => 0xFEE00800 | (vcpu.Id == 0 ? 0x100UL : 0),
            Pat => PatValue,
            PerfCapabilities or MicrocodeRevision => 0,
            Efer => state->Efer,
            FsBase => state->Fs.Base,
            GsBase => state->Gs.Base,
            ShadowGsBase => state->KernelGsBase,
            TscAux => state->TscAux,
            MiscEnable when !cpuid.IsAmd => MiscEnableValue,
            AmdSystemConfiguration when cpuid.IsAmd => 0,

            // TscFreqSel: the TSC counts at the P0 frequency. LFENCE is dispatch serialising (bit 1).
            AmdHardwareConfiguration when cpuid.IsAmd => 1 << 24,
            AmdDecodeConfiguration when cpuid.IsAmd => 2,
            _ => ulong.MaxValue,
        };
        return value != ulong.MaxValue
            || index is FsBase or GsBase or ShadowGsBase or TscAux or Tsc;
    }

    /// <summary>Writes an MSR; false for #GP.</summary>
    public static bool TryWrite(PvVcpu vcpu, CpuidPolicy cpuid, uint index, ulong value)
    {
        CpuState* state = vcpu.State;
        switch (index)
        {
            case FsBase when IsCanonical(value):
                state->Fs.Base = value;
                return true;
            case GsBase when IsCanonical(value):
                state->Gs.Base = value;
                return true;
            case ShadowGsBase when IsCanonical(value):
                state->KernelGsBase = value;
                return true;
            case TscAux when value >> 32 == 0:
                state->TscAux = value;
                return true;
            case Tsc or MicrocodeRevision:
                return true;
            case Efer or Pat or ApicBase or MiscEnable or AmdHardwareConfiguration or AmdDecodeConfiguration:
                // Writing what is there changes nothing; anything else is refused.
                return TryRead(vcpu, cpuid, index, out ulong present) && present == value;
            default:
                return false;
        }
    }

    public static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;
}
