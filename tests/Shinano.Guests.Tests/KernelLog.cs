namespace Shinano.Guests;

/// <summary>What a guest's kernel complains of when its machine misbehaves.</summary>
internal static class KernelLog
{
    /// <summary>Prints the kernel's log raw (busybox: <c>dmesg -r</c>, so each line has its level), each line after "LOG ".</summary>
    public const string Script = """
        dmesg -r | sed 's/^/LOG /'
        """;

    // Errors without a fault of ours. The general kernel finds no machine-check banks (docs/quirks.md). A PV kernel of Linux 6.1 has no table of
    // local APICs and takes each for BAD_APICID, ffff; Xen 4.17 answers 0 in CPUID leaf 1 to every vCPU of a PV domain, and so do we: the two never
    // match, under Xen neither. A PV domain's memory is one range from 0, and from 4 GiB on Linux misses a gap for PCI, which the domain has not.
    private static readonly string[] Known =
    [
        "mce: Unable to init MCE device",
        "APIC id mismatch. Firmware: ffff APIC: 0",
        "Cannot find an available gap in the 32-bit address range",
        "PCI devices with unassigned 32-bit BARs",
    ];

    // "WARNING: CPU:" begins what WARN() prints; a bare "WARNING:" is also what the kernel says of the flaws of a host's CPU ("Speculative Return
    // Stack Overflow: WARNING: See ..."), which is not ours to mend. "clocksource: timekeeping watchdog on CPU ...: read-back delay of ..." (level 6) says that the host took the CPU away between two reads
    // of a clock, as any loaded host does, and that the comparison was left out; a clock that was found wrong is marked "unstable".
    private static readonly string[] Words =
    [
        "rcu: INFO", "rcu_sched self-detected", "rcu_preempt self-detected", "detected stalls", "soft lockup", "hard LOCKUP", "hung_task", "blocked for more than",
        "BUG:", "WARNING: CPU:", "Oops", "general protection", "Call Trace", "unstable", "Marking TSC", "timed out",
        "failed to come online", "MMU op failed", "multicall", "trap invalid opcode", "segfault",
    ];

    /// <summary>Lines that mean trouble, either by the level "error" and above or by what they say.</summary>
    public static IReadOnlyList<string> TroubleIn(GuestRun run)
    {
        var lines = run.After("LOG");
        Assert.True(lines.Count > 50, $"the guest printed no kernel log:\n{run.Console}");
        return
        [
            .. lines.Where(line => (IsError(line) || Words.Any(word => line.Contains(word, StringComparison.OrdinalIgnoreCase)))
                && !Known.Any(known => line.Contains(known, StringComparison.Ordinal))),
        ];
    }

    // printk's levels: 0 emergency to 3 error.
    private static bool IsError(string line) => line is ['<', >= '0' and <= '3', '>', ..];
}
