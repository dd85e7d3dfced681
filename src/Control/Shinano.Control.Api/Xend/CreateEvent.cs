using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>One line of the answer to a creation, which is a stream of JSON lines. The last one has <see cref="Created"/> or <see cref="Failure"/>.</summary>
public sealed record CreateEvent
{
    public DiagnosticMessage? Diagnostic { get; init; }

    public BuildProgress? Progress { get; init; }

    public CreatedDomain? Created { get; init; }

    public DomainFailure? Failure { get; init; }
}
