using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>What became of the copies that were asked for. The domain that was copied goes on in any case.</summary>
/// <param name="Domains">Those that there are, in the order of their names.</param>
/// <param name="Failures">Why others could not be made; nothing is left of those.</param>
/// <param name="StillNanoseconds">How long the copied domain kept still.</param>
/// <param name="RunningNanoseconds">For each of <paramref name="Domains"/>, how long after the request it ran, or was ready to when it was to be left paused.</param>
public sealed record ForkResult(
    IReadOnlyList<CreatedDomain> Domains, IReadOnlyList<DomainFailure> Failures, long StillNanoseconds, IReadOnlyList<long> RunningNanoseconds);
