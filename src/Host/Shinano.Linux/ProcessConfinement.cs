using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>What a process gives up for good before it serves somebody it does not trust. Each call holds for all threads made afterwards.</summary>
public static partial class ProcessConfinement
{
    private const int SetDumpable = 4;
    private const int SetNoNewPrivileges = 38;
    private const int LimitCore = 4;

    /// <summary>No program that it may execute gains privileges (PR_SET_NO_NEW_PRIVS).</summary>
    /// <exception cref="Win32Exception">The kernel refused.</exception>
    public static void ForbidNewPrivileges() => Check(ProcessControl(SetNoNewPrivileges, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");

    /// <summary>A crash leaves no core file (it would hold the guest's memory), and no other process of the user may attach to it (PR_SET_DUMPABLE 0).</summary>
    /// <exception cref="Win32Exception">The kernel refused.</exception>
    public static void ForbidCoreFiles()
    {
        ResourceLimit none = default;
        Check(SetResourceLimit(LimitCore, in none), "setrlimit(RLIMIT_CORE)");
        Check(ProcessControl(SetDumpable, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");
    }

    private static void Check(int result, string what)
    {
        if (result != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), what);
        }
    }

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int ProcessControl(int option, ulong a2, ulong a3, ulong a4, ulong a5);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int SetResourceLimit(int resource, in ResourceLimit limit);

    [StructLayout(LayoutKind.Sequential)]
    private struct ResourceLimit
    {
        public ulong Current;
        public ulong Maximum;
    }
}
