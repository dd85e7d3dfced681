namespace Shinano.Control.Api.Xend;

/// <summary>The end of a domain, kept for a while after it so that whoever waited learns of it.</summary>
public sealed record DomainOutcome
{
    public required int Id { get; init; }

    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    public required DomainEnd End { get; init; }

    /// <summary>What was done about it: "destroy", "restart", "preserve", ...</summary>
    public required string Action { get; init; }

    /// <summary>The domain that took its place; null when none did.</summary>
    public CreatedDomain? Successor { get; init; }

    /// <summary>More, for people.</summary>
    public string? Detail { get; init; }
}
