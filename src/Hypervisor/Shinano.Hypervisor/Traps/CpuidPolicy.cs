using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Shinano.Cpu;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// What CPUID shows to a PV domain: the host's vendor, family and brand, the features that the engine executes and that Xen 4.17 gives PV guests, the host's
/// counts of cores and threads, and Xen's own leaves. Every vCPU sees the same: a PV vCPU has no local APIC, and its identifiers read as 0. Immutable; shared by
/// the domain's vCPUs.
/// </summary>
/// <remarks>
/// Sources: SDM 2A CPUID; AMD APM 3 appendix E; public/arch-x86/cpuid.h; public/arch-x86/cpufeatureset.h (features marked for PV); for topology, Xen 4.17's
/// arch/x86/cpuid.c (leaf 1) and arch/x86/cpu-policy.c (recalculate_misc: leaf 0xB is all zero) and tools/libs/guest/xg_cpuid_x86.c (HTT and CmpLegacy as the host's).
/// </remarks>
public sealed unsafe class CpuidPolicy
{
    private const uint MaximumBasic = 0xD;
    private const uint MaximumExtended = 0x80000008;
    private const uint XenBase = 0x40000000;
    private const uint XenMaximum = XenBase + 5;
    private const uint XenVersion = (4 << 16) | 17;
    private const uint SimdAndLegacyBytes = 576;
    private const uint AvxBytes = 256;

    // Leaf 1 EBX without the initial APIC ID (31:24) and the brand index (7:0): logical processors in a package, and the line that CLFLUSH flushes.
    private const uint BasicTopology = 0x00FFFF00;
    private const uint HyperThreading = 1 << 28;
    private const uint CmpLegacy = 1 << 1;

    // Leaf 0x80000008 ECX: ApicIdSize (15:12) and NC (7:0).
    private const uint AmdCoreCount = 0xF0FF;

    private readonly CpuFeatures _features;
    private readonly long _tscKilohertz;
    private readonly CpuidLeaf _vendor;
    private readonly CpuidLeaf[] _brand;
    private readonly uint _signature;
    private readonly CpuidLeaf _hostBasic;

    /// <param name="features">The engine's features that the domain may use.</param>
    /// <param name="tscHertz">Frequency of the guest's TSC.</param>
    public CpuidPolicy(CpuFeatures features, long tscHertz)
    {
        _features = features;
        _tscKilohertz = tscHertz / 1000;
        _vendor = Host(0);
        _hostBasic = Host(1);
        _signature = _hostBasic.Eax;
        IsAmd = VendorName is "AuthenticAMD" or "HygonGenuine";
        _brand = [Host(0x80000002), Host(0x80000003), Host(0x80000004)];
    }

    /// <summary>The vendor is AMD or Hygon.</summary>
    public bool IsAmd { get; }

    /// <summary>Bits of XCR0 that may be set: x87, SSE, and AVX when there is AVX; 0 without XSAVE.</summary>
    public ulong XsaveFeatures => Has(CpuFeatures.Xsave) ? 3UL | (Has(CpuFeatures.Avx) ? 4UL : 0) : 0;

    /// <summary>The twelve letters of leaf 0.</summary>
    public string VendorName
    {
        get
        {
            Span<uint> letters = [_vendor.Ebx, _vendor.Edx, _vendor.Ecx];
            return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(letters));
        }
    }

    /// <summary>Whether the domain's CPU has a feature group.</summary>
    public bool Has(CpuFeatures feature) => (_features & feature) == feature;

    /// <summary>Executes CPUID on a vCPU's registers; RIP is the caller's.</summary>
    public void Execute(PvVcpu vcpu)
    {
        CpuState* state = vcpu.State;
        CpuidLeaf leaf = Query((uint)state->Gpr[0], (uint)state->Gpr[1], state->Xcr0);
        state->Gpr[0] = leaf.Eax;
        state->Gpr[3] = leaf.Ebx;
        state->Gpr[1] = leaf.Ecx;
        state->Gpr[2] = leaf.Edx;
    }

    /// <summary>A leaf as the domain's vCPUs see it.</summary>
    /// <param name="leaf">EAX.</param>
    /// <param name="subleaf">ECX.</param>
    /// <param name="xcr0">The vCPU's XCR0, which leaf 0xD follows.</param>
    public CpuidLeaf Query(uint leaf, uint subleaf, ulong xcr0)
    {
        switch (leaf)
        {
            case 0:
                return _vendor with { Eax = MaximumBasic };
            case 1:
                return Basic();
            case 4:
                return IsAmd ? default : Cache(subleaf);
            case 6:
                // ARAT: the APIC timer, which no PV guest has, never stops.
                return new CpuidLeaf(4, 0, 0, 0);
            case 7:
                return subleaf == 0 ? Structured() : default;
            case 0xD:
                return Xsave(subleaf, xcr0);
            case >= XenBase and <= XenMaximum:
                return Xen(leaf - XenBase, subleaf);
            case 0x80000000:
                return _vendor with { Eax = MaximumExtended, Ebx = IsAmd ? _vendor.Ebx : 0, Ecx = IsAmd ? _vendor.Ecx : 0, Edx = IsAmd ? _vendor.Edx : 0 };
            case 0x80000001:
                return Extended();
            case >= 0x80000002 and <= 0x80000004:
                return _brand[leaf - 0x80000002];
            case 0x80000005 or 0x80000006:
                return Host(leaf);
            case 0x80000007:
                // Invariant TSC: the host's, which must be one.
                return new CpuidLeaf(0, 0, 0, 1 << 8);
            case 0x80000008:
                return new CpuidLeaf((48 << 8) | 48, 0, IsAmd ? Host(0x80000008).Ecx & AmdCoreCount : 0, 0);
            default:
                return default;
        }
    }

    private static CpuidLeaf Host(uint leaf, uint subleaf = 0)
    {
        (int a, int b, int c, int d) = X86Base.CpuId((int)leaf, (int)subleaf);
        return new CpuidLeaf((uint)a, (uint)b, (uint)c, (uint)d);
    }

    private uint Bit(CpuFeatures feature, int bit) => Has(feature) ? 1u << bit : 0;

    private CpuidLeaf Basic()
    {
        // FPU, DE, TSC, MSR, PAE, CX8, APIC, CMOV, PAT, CLFSH, MMX, FXSR, SSE, SSE2: what every 64-bit PV guest of Xen has here.
        const uint Fixed = (1 << 0) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8) | (1 << 9) | (1 << 15) | (1 << 16) | (1 << 19)
            | (1 << 23) | (1 << 24) | (1 << 25) | (1 << 26);
        uint ecx = (1u << 13) | (1u << 31)
            | Bit(CpuFeatures.Sse3, 0) | Bit(CpuFeatures.Pclmulqdq, 1) | Bit(CpuFeatures.Ssse3, 9) | Bit(CpuFeatures.Fma, 12)
            | Bit(CpuFeatures.Sse41, 19) | Bit(CpuFeatures.Sse42, 20) | Bit(CpuFeatures.Movbe, 22) | Bit(CpuFeatures.Popcnt, 23)
            | Bit(CpuFeatures.Aes, 25) | Bit(CpuFeatures.Xsave, 26) | Bit(CpuFeatures.Xsave, 27) | Bit(CpuFeatures.Avx, 28)
            | Bit(CpuFeatures.F16c, 29) | Bit(CpuFeatures.Rdrand, 30);
        return new CpuidLeaf(_signature, _hostBasic.Ebx & BasicTopology, ecx, Fixed | (_hostBasic.Edx & HyperThreading));
    }

    private CpuidLeaf Structured()
    {
        uint ebx = Bit(CpuFeatures.Fsgsbase, 0) | Bit(CpuFeatures.Bmi1, 3) | Bit(CpuFeatures.Avx2, 5) | Bit(CpuFeatures.Bmi2, 8)
            | Bit(CpuFeatures.Erms, 9) | Bit(CpuFeatures.Rdseed, 18) | Bit(CpuFeatures.Adx, 19) | Bit(CpuFeatures.Clflushopt, 23)
            | Bit(CpuFeatures.Clwb, 24) | Bit(CpuFeatures.ShaNi, 29);
        uint ecx = Bit(CpuFeatures.Gfni, 8) | Bit(CpuFeatures.Vaes, 9) | Bit(CpuFeatures.Vpclmulqdq, 10) | Bit(CpuFeatures.Rdpid, 22);
        return new CpuidLeaf(0, ebx, ecx, Bit(CpuFeatures.Fsrm, 4));
    }

    private CpuidLeaf Extended()
    {
        // LAHF, the host's CmpLegacy; SYSCALL, NX, RDTSCP, LM; AMD repeats leaf 1's low features here.
        const uint AmdCopies = (1 << 0) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8) | (1 << 9) | (1 << 15) | (1 << 16) | (1 << 23) | (1 << 24);
        uint ecx = 1 | Bit(CpuFeatures.Lzcnt, 5) | (Host(0x80000001).Ecx & CmpLegacy);
        uint edx = (1 << 11) | (1 << 20) | (1 << 27) | (1 << 29) | (IsAmd ? AmdCopies : 0);
        return new CpuidLeaf(IsAmd ? _signature : 0, 0, ecx, edx);
    }

    /// <summary>Deterministic cache parameters of the host, reserved fields cleared.</summary>
    private static CpuidLeaf Cache(uint subleaf)
    {
        CpuidLeaf host = Host(4, Math.Min(subleaf, 8));
        return (host.Eax & 31) is 0 or > 3 ? default : host with { Eax = host.Eax & 0xFFFFC3FF, Edx = host.Edx & 7 };
    }

    private CpuidLeaf Xsave(uint subleaf, ulong xcr0)
    {
        if (!Has(CpuFeatures.Xsave))
        {
            return default;
        }

        return subleaf switch
        {
            0 => new CpuidLeaf((uint)XsaveFeatures, AreaSize(xcr0), AreaSize(XsaveFeatures), 0),
            2 when Has(CpuFeatures.Avx) => new CpuidLeaf(AvxBytes, SimdAndLegacyBytes, 0, 0),
            _ => default,
        };
    }

    private static uint AreaSize(ulong components) => SimdAndLegacyBytes + ((components & 4) != 0 ? AvxBytes : 0);

    /// <summary>Xen's leaves. Source: public/arch-x86/cpuid.h.</summary>
    private CpuidLeaf Xen(uint index, uint subleaf)
    {
        switch (index)
        {
            case 0:
                return new CpuidLeaf(XenMaximum, 0x566E6558, 0x65584D4D, 0x4D4D566E);
            case 1:
                return new CpuidLeaf(XenVersion, 0, 0, 0);
            case 2:
                // One hypercall page, its MSR, MMU_PT_UPDATE_PRESERVE_AD.
                return new CpuidLeaf(1, XenBase, 1, 0);
            case 3 when subleaf == 0:
                // Host TSC reliable, RDTSCP available; tsc_mode 0.
                return new CpuidLeaf(2 | 4, 0, (uint)_tscKilohertz, 0);
            case 3 when subleaf == 2:
                return new CpuidLeaf((uint)_tscKilohertz, 0, 0, 0);
            case 5 when subleaf == 0:
                return new CpuidLeaf(0, 48, 0, 0);
            default:
                return default;
        }
    }
}
