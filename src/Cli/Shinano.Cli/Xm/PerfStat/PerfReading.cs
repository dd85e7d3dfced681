using Shinano.Control.Api.Domains;

namespace Shinano.Cli.Xm.PerfStat;

/// <summary>A counter in a report.</summary>
/// <param name="Name">See <see cref="PerformanceCounter"/>.</param>
/// <param name="Kind">How it moves; only a total has the last two.</param>
/// <param name="Value">Since the domain's start, or of the moment.</param>
/// <param name="Change">In the report's time.</param>
/// <param name="PerSecond">The same as a rate; null in a report of no time.</param>
internal sealed record PerfReading(string Name, PerformanceCounterKind Kind, long Value, long? Change, double? PerSecond);
