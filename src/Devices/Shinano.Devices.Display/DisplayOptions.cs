namespace Shinano.Devices.Display;

/// <summary>How a display is shown.</summary>
public sealed record DisplayOptions
{
    /// <summary>What viewers put into their window's title.</summary>
    public required string Name { get; init; }

    /// <summary>VNC password; null for none.</summary>
    public string? Password { get; init; }

    /// <summary>Viewers at a time; more are turned away.</summary>
    public int MaximumViewers { get; init; } = 16;

    /// <summary>A viewer that does not finish the handshake, or take an update, within this is left.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>At least this lies between two updates to one viewer.</summary>
    public TimeSpan UpdateInterval { get; init; } = TimeSpan.FromMilliseconds(20);

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Takes a line for the log.</summary>
    public Action<string> Log { get; init; } = static _ => { };
}
