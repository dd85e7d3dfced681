using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>The calling thread's GS base, which neither .NET nor the C library uses on x86-64: generated code finds its state through it.</summary>
public static unsafe partial class ThreadSegment
{
    private const int ArchPrctlCall = 158;
    private const int SetGs = 0x1001;

    /// <summary>Sets the GS base of the calling thread. Source: arch_prctl(2).</summary>
    /// <exception cref="Win32Exception">The kernel refused.</exception>
    public static void SetGsBase(void* address)
    {
        if (SystemCall(ArchPrctlCall, SetGs, address) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "arch_prctl(ARCH_SET_GS)");
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, long code, void* address);
}
