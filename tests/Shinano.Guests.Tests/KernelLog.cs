namespace Shinano.Guests;

/// <summary>What a guest's kernel complains of when its machine misbehaves.</summary>
internal static class KernelLog
{
    /// <summary>Prints the kernel's log raw (busybox: <c>dmesg -r</c>, so each line has its level), each line after "LOG ".</summary>
    public const string Script = """
        dmesg -r | sed 's/^/LOG /'
        """;

    // Errors without a fault of ours. The general kernel finds no machine-check banks (docs/quirks.md). A PV kernel of Linux 6.1 knows no local
    // APIC ("Firmware: ffff", its BAD_APICID), so that no identifier from CPUID would match. On AMD's Zen kernels point to their documentation of SRSO.
    private static readonly string[] Known =
    [
        "mce: Unable to init MCE device",
        "APIC id mismatch. Firmware: ffff",
        "Speculative Return Stack Overflow: WARNING: See ",
    ];

    private static readonly string[] Words =
    [
        "rcu: INFO", "rcu_sched self-detected", "rcu_preempt self-detected", "detected stalls", "soft lockup", "hard LOCKUP", "hung_task", "blocked for more than",
        "BUG:", "WARNING:", "Oops", "general protection", "Call Trace", "clocksource: timekeeping watchdog", "unstable", "Marking TSC", "timed out",
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
