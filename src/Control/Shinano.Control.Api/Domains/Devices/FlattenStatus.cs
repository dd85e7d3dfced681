namespace Shinano.Control.Api.Domains.Devices;

/// <summary>Layers of a volume that become one while a domain uses it.</summary>
public sealed record FlattenStatus
{
    /// <summary>The disk's number.</summary>
    public required string Id { get; init; }

    /// <summary>POOL/VOLUME, as it was called when this began.</summary>
    public required string Volume { get; init; }

    /// <summary>Bytes of the disk that are done.</summary>
    public required long Done { get; init; }

    /// <summary>Bytes of the disk; 0 when it has not begun.</summary>
    public required long Total { get; init; }

    /// <summary>Nothing is being done any more.</summary>
    public required bool IsEnded { get; init; }

    /// <summary>Why it did not come to its end; null for what goes on or is done.</summary>
    public string? Failure { get; init; }
}
