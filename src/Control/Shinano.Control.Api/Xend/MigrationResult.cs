namespace Shinano.Control.Api.Xend;

/// <summary>A migration that was done.</summary>
public sealed record MigrationResult
{
    /// <summary>The domain's number at the target.</summary>
    public required int TargetId { get; init; }

    /// <summary>Rounds in which memory was sent while the domain ran; 0 without --live.</summary>
    public required int Rounds { get; init; }

    /// <summary>4 KiB pages sent, those that were sent more than once as often.</summary>
    public required long Pages { get; init; }

    /// <summary>Pages of them sent while the domain stood still.</summary>
    public required long LastPages { get; init; }

    /// <summary>Bytes sent, framing included, transport excluded.</summary>
    public required long Bytes { get; init; }

    public required long TotalNanoseconds { get; init; }

    /// <summary>From before the vCPUs were stopped here until the target's word that they run, which took a message's way longer than the domain stood still.</summary>
    public required long DowntimeNanoseconds { get; init; }
}
