namespace Shinano.Control.Api.Domains;

/// <summary>A stage that a domain process has reached; shown by <c>--verbose</c>.</summary>
/// <param name="Stage">Short and stable: "kernel", "memory", "ramdisk", "page-tables", "start-info", "vcpus", "console", "xenstore".</param>
/// <param name="Detail">For people, e.g. "loaded vmlinuz-6.1.0 (lz4, 38 MiB) at 0x1000000".</param>
/// <param name="ElapsedNanoseconds">Since the build began.</param>
public sealed record BuildProgress(string Stage, string Detail, long ElapsedNanoseconds);
