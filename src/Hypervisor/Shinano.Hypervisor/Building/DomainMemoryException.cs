namespace Shinano.Hypervisor.Building;

/// <summary>What the domain was given does not fit into its memory.</summary>
/// <param name="message">For people: what needs how much.</param>
public sealed class DomainMemoryException(string message) : Exception(message);
