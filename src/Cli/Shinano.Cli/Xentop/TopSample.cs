using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xentop;

/// <summary>What xend said at one moment.</summary>
/// <param name="Timestamp">Monotonic, in nanoseconds; only differences mean anything.</param>
/// <param name="Host">The machine.</param>
/// <param name="Domains">Domain-0 first; managed domains that do not run are left out.</param>
internal sealed record TopSample(long Timestamp, HostInformation Host, IReadOnlyList<DomainSummary> Domains)
{
    public static async Task<TopSample> TakeAsync(XendClient xend, CancellationToken cancellationToken)
    {
        HostInformation host = await xend.GetHostAsync(cancellationToken);
        IReadOnlyList<DomainSummary> domains = await xend.ListAsync(cancellationToken);
        long now = (long)(System.Diagnostics.Stopwatch.GetTimestamp() * (1e9 / System.Diagnostics.Stopwatch.Frequency));
        return new TopSample(now, host, [.. domains.Where(domain => domain.Id is not null)]);
    }
}
