namespace Shinano.Control.Configuration;

/// <summary>What became of a configuration text.</summary>
/// <param name="Configuration">Null when a diagnostic is an error.</param>
/// <param name="Diagnostics">In the order of the text.</param>
public sealed record ConfigurationResult(DomainConfiguration? Configuration, IReadOnlyList<ConfigurationDiagnostic> Diagnostics);
