using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>Host CPUs that a thread may run on (sched_setaffinity(2)), by their numbers.</summary>
public static unsafe partial class ThreadAffinity
{
    /// <summary>CPU numbers end before this: as many as CPU_SETSIZE of sched.h has.</summary>
    public const int CpuLimit = 1024;

    private const int WordBits = 64;

    /// <summary>The CPUs of the calling thread, in ascending order.</summary>
    /// <exception cref="Win32Exception">The host has more CPUs than <see cref="CpuLimit"/>.</exception>
    public static IReadOnlyList<int> OfCurrentThread()
    {
        ulong* mask = stackalloc ulong[CpuLimit / WordBits];
        int length = GetAffinity(0, CpuLimit / 8, mask);
        if (length < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "sched_getaffinity");
        }

        List<int> cpus = [];
        for (int cpu = 0; cpu < CpuLimit; cpu++)
        {
            if ((mask[cpu / WordBits] >> (cpu % WordBits) & 1) != 0)
            {
                cpus.Add(cpu);
            }
        }

        return cpus;
    }

    /// <summary>Keeps a thread of this process on some CPUs; those that the host does not have are left out.</summary>
    /// <param name="threadId">See <see cref="ThreadCpuClock.ThreadId"/>.</param>
    /// <param name="cpus">Numbers below <see cref="CpuLimit"/>.</param>
    /// <returns>False when none of them can be used, or there is no such thread: then nothing is changed.</returns>
    public static bool TrySet(int threadId, IEnumerable<int> cpus)
    {
        ulong* mask = stackalloc ulong[CpuLimit / WordBits];
        new Span<ulong>(mask, CpuLimit / WordBits).Clear();
        foreach (int cpu in cpus)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(cpu);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(cpu, CpuLimit);
            mask[cpu / WordBits] |= 1UL << (cpu % WordBits);
        }

        return SetAffinity(threadId, CpuLimit / 8, mask) == 0;
    }

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    private static partial int GetAffinity(int thread, nuint length, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int thread, nuint length, ulong* mask);
}
