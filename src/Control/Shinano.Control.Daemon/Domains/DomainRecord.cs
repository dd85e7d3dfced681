using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Migration;

namespace Shinano.Control.Daemon.Domains;

/// <summary>What xend writes down about a domain, so that the next xend can take it over. Lives in the domain's run directory.</summary>
internal sealed record DomainRecord
{
    public required DomainPhase Phase { get; init; }

    public required DomainSpec Spec { get; init; }

    /// <summary>With absolute paths.</summary>
    public required DomainConfiguration Configuration { get; init; }

    /// <summary>Present name and uuid; they differ from the spec's after a rename.</summary>
    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    /// <summary>Null before the process was started.</summary>
    public ProcessStamp? Process { get; init; }

    public DateTimeOffset Created { get; init; }

    /// <summary>Times of the latest restarts by on_reboot and its kin, oldest first: what stops a domain that only ever restarts.</summary>
    public IReadOnlyList<DateTimeOffset> Restarts { get; init; } = [];

    /// <summary>Numbers that the domain had before it was restored, the oldest first.</summary>
    public IReadOnlyList<int> FormerIds { get; init; } = [];

    /// <summary>The transfer by which the domain comes from elsewhere; null once it runs.</summary>
    public Guid? Arriving { get; init; }

    /// <summary>Set when the domain was handed over to another host: it does not run here before that host says that it has not taken it.</summary>
    public HandOver? HandedOver { get; init; }

    /// <summary>
    /// Of a copied domain: interfaces that are attached once the guest has let go of those of the same numbers, which have the addresses of the domain it is a copy of.
    /// </summary>
    public IReadOnlyList<VifConfiguration> AwaitedVifs { get; init; } = [];

    /// <summary>Volumes and snapshots that are destroyed with the domain, in this order.</summary>
    public IReadOnlyList<string> TemporaryVolumes { get; init; } = [];

    /// <summary>Set with <see cref="DomainPhase.Kept"/>.</summary>
    public DomainOutcome? Outcome { get; init; }
}
