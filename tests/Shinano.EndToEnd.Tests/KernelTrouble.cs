namespace Shinano.EndToEnd.Tests;

/// <summary>What Linux says when something went wrong with its time, its CPUs or its disks; for a guest's shell.</summary>
internal static class KernelTrouble
{
    /// <summary>Prints "trouble=" and the number of such lines since the kernel's log was cleared.</summary>
    public const string Count = "dmesg | grep -cE 'BUG|WARNING: CPU|stall|lockup|Call Trace|I/O error|EXT4-fs error' | sed 's/^/trouble=/'";
}
