namespace Shinano.Hypervisor.Building;

/// <summary>The domain cannot be built from what it was given.</summary>
/// <param name="error">Which kind of reason.</param>
/// <param name="message">For people: what needs what, and what there is.</param>
public sealed class DomainBuildException(DomainBuildError error, string message) : Exception(message)
{
    /// <summary>Which kind of reason.</summary>
    public DomainBuildError Error { get; } = error;
}
