namespace Shinano.Engines.Bench;

/// <summary>The groups of bench/guest/bench.c that the table shows.</summary>
internal static class Workload
{
    /// <summary>Almost all of their time is user mode.</summary>
    public static IReadOnlyList<string> UserGroups { get; } =
    [
        "integer", "recursion", "tables", "chase", "sort", "bytecode", "sse2", "avx", "copy", "copy-loop", "gzip", "sha256", "shell",
    ];

    /// <summary>Most of their time is the kernel's.</summary>
    public static IReadOnlyList<string> KernelGroups { get; } = ["syscalls", "faults", "fork", "exec", "pipe"];

    /// <summary>For several vCPUs; four processes each.</summary>
    public static IReadOnlyList<string> ParallelGroups { get; } = ["spread", "contend"];

    /// <summary>In the order of the table.</summary>
    public static IReadOnlyList<string> AllGroups { get; } = [.. UserGroups, .. KernelGroups];
}
