using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>xend refused, or could not be reached.</summary>
public sealed class XendFailureException(DomainFailure failure, IReadOnlyList<DiagnosticMessage>? diagnostics = null) : Exception(failure.Message)
{
    public DomainFailure Failure { get; } = failure;

    public IReadOnlyList<DiagnosticMessage> Diagnostics { get; } = diagnostics ?? [];
}
