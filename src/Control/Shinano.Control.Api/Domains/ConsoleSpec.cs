namespace Shinano.Control.Api.Domains;

/// <summary>Where the console goes and how much of it is kept.</summary>
public sealed record ConsoleSpec
{
    /// <summary>
    /// Unix stream socket the domain process listens on (mode 0600). Raw bytes both ways, no framing; any number of viewers. A new viewer is
    /// first sent the backlog. A viewer that half-closes (shutdown SHUT_WR) has no more input and still gets output. Input waits while the
    /// guest's ring is full. At the domain's end every viewer is sent what is left and then EOF.
    /// </summary>
    public required string SocketPath { get; init; }

    /// <summary>Log of the guest's output (LogDirectory/console/guest-NAME.log), appended; null keeps none.</summary>
    public string? LogPath { get; init; }

    /// <summary>At this size in bytes the log is renamed to <c>PATH.1</c> (older ones shift up) and a new one begun.</summary>
    public long LogRotateBytes { get; init; } = 4 << 20;

    /// <summary>Rotated files kept besides the current one; 0 truncates instead.</summary>
    public int LogRotateCount { get; init; } = 4;

    /// <summary>Latest output kept in memory for viewers that attach later, in bytes.</summary>
    public int BacklogBytes { get; init; } = 1 << 20;
}
