namespace Shinano.Control.Api.Xend;

/// <param name="Decision">What is to become of the domain.</param>
public sealed record MigrationResolveRequest(MigrationDecision Decision);
