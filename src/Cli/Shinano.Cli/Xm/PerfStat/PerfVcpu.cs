namespace Shinano.Cli.Xm.PerfStat;

/// <summary>The readings of one vCPU.</summary>
internal sealed record PerfVcpu(int Id, IReadOnlyList<PerfReading> Counters);
