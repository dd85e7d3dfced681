namespace Shinano.Cpu;

/// <summary>
/// Optional instruction groups of a domain's CPU. x86-64 with SSE2, CMPXCHG16B, LAHF, RDTSC(P), SYSCALL and NX is always there.
/// An engine that lacks a group removes it from <see cref="ICpuEngine.Supported"/>; CPUID is made from what is left.
/// </summary>
[Flags]
public enum CpuFeatures : ulong
{
    None = 0,
    Sse3 = 1 << 0,
    Ssse3 = 1 << 1,
    Sse41 = 1 << 2,
    Sse42 = 1 << 3,
    Popcnt = 1 << 4,
    Aes = 1 << 5,
    Pclmulqdq = 1 << 6,
    Movbe = 1 << 7,
    Rdrand = 1 << 8,
    Rdseed = 1 << 9,
    Xsave = 1 << 10,
    Avx = 1 << 11,
    Avx2 = 1 << 12,
    Fma = 1 << 13,
    F16c = 1 << 14,
    Bmi1 = 1 << 15,
    Bmi2 = 1 << 16,
    Lzcnt = 1 << 17,
    Adx = 1 << 18,
    ShaNi = 1 << 19,
    Fsgsbase = 1 << 20,
    Clflushopt = 1 << 21,
    Clwb = 1 << 22,
    Erms = 1 << 23,
    Rdpid = 1 << 24,
    Vaes = 1 << 25,
    Vpclmulqdq = 1 << 26,
    Gfni = 1 << 27,
    Fsrm = 1 << 28,
}
