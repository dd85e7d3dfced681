namespace Shinano.Control.Api.Domains;

/// <summary>A failure as it crosses a process boundary.</summary>
/// <param name="Code">For programs.</param>
/// <param name="Message">For people: what was asked, what is wrong, where, what would be right. One line, no final stop.</param>
public sealed record DomainFailure(DomainFailureCode Code, string Message);
