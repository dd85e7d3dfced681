using System.Runtime.Intrinsics.X86;

namespace Shinano.Cpu.HostCode;

/// <summary>What this machine's CPU can execute, in terms of <see cref="CpuFeatures"/>.</summary>
public static class HostFeatures
{
    private static readonly Lazy<CpuFeatures> Detected = new(Read);

    /// <summary>
    /// Feature groups of the host CPU, the vector ones only when the host's kernel saves their registers. Source: SDM 2A CPUID; APM 3 appendix E.
    /// </summary>
    public static CpuFeatures Detect() => Detected.Value;

    private static CpuFeatures Read()
    {
        CpuFeatures found = CpuFeatures.None;
        if (!X86Base.X64.IsSupported)
        {
            return found;
        }

        void Take(int word, int bit, CpuFeatures feature)
        {
            if (((word >> bit) & 1) != 0)
            {
                found |= feature;
            }
        }

        (int highest, _, _, _) = X86Base.CpuId(0, 0);
        (_, _, int ecx1, _) = X86Base.CpuId(1, 0);
        Take(ecx1, 0, CpuFeatures.Sse3);
        Take(ecx1, 1, CpuFeatures.Pclmulqdq);
        Take(ecx1, 9, CpuFeatures.Ssse3);
        Take(ecx1, 19, CpuFeatures.Sse41);
        Take(ecx1, 20, CpuFeatures.Sse42);
        Take(ecx1, 22, CpuFeatures.Movbe);
        Take(ecx1, 23, CpuFeatures.Popcnt);
        Take(ecx1, 25, CpuFeatures.Aes);
        Take(ecx1, 30, CpuFeatures.Rdrand);

        // The runtime has asked XGETBV whether the kernel keeps the upper halves; it is the only way to ask from here.
        bool vectors = Avx.IsSupported;
        if (vectors)
        {
            Take(ecx1, 27, CpuFeatures.Xsave);
            Take(ecx1, 28, CpuFeatures.Avx);
            Take(ecx1, 12, CpuFeatures.Fma);
            Take(ecx1, 29, CpuFeatures.F16c);
        }

        if (highest >= 7)
        {
            (_, int ebx7, int ecx7, int edx7) = X86Base.CpuId(7, 0);
            Take(ebx7, 0, CpuFeatures.Fsgsbase);
            Take(ebx7, 3, CpuFeatures.Bmi1);
            Take(ebx7, 8, CpuFeatures.Bmi2);
            Take(ebx7, 9, CpuFeatures.Erms);
            Take(ebx7, 18, CpuFeatures.Rdseed);
            Take(ebx7, 19, CpuFeatures.Adx);
            Take(ebx7, 23, CpuFeatures.Clflushopt);
            Take(ebx7, 24, CpuFeatures.Clwb);
            Take(ebx7, 29, CpuFeatures.ShaNi);
            Take(ecx7, 8, CpuFeatures.Gfni);
            Take(ecx7, 22, CpuFeatures.Rdpid);
            Take(edx7, 4, CpuFeatures.Fsrm);
            if (vectors)
            {
                Take(ebx7, 5, CpuFeatures.Avx2);
                Take(ecx7, 9, CpuFeatures.Vaes);
                Take(ecx7, 10, CpuFeatures.Vpclmulqdq);
            }
        }

        (_, _, int extended, _) = X86Base.CpuId(unchecked((int)0x80000001), 0);
        Take(extended, 5, CpuFeatures.Lzcnt);
        return found;
    }
}
