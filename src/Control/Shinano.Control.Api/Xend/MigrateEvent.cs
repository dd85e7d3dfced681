using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>One line of the answer to a migration, which is a stream of JSON lines. The last one has <see cref="Result"/> or <see cref="Failure"/>.</summary>
public sealed record MigrateEvent
{
    public BuildProgress? Progress { get; init; }

    public MigrationResult? Result { get; init; }

    public DomainFailure? Failure { get; init; }
}
