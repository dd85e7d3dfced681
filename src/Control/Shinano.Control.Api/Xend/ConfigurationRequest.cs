namespace Shinano.Control.Api.Xend;

/// <summary>A configuration on its way to xend, which parses it.</summary>
public sealed record ConfigurationRequest
{
    /// <summary>For messages: the name as the user gave it.</summary>
    public required string FileName { get; init; }

    public required string Text { get; init; }

    /// <summary><c>key=value</c> arguments.</summary>
    public IReadOnlyList<string> Overrides { get; init; } = [];

    /// <summary>Absolute directory that relative paths in the configuration start from.</summary>
    public required string WorkingDirectory { get; init; }

    /// <summary>Warnings are errors.</summary>
    public bool Strict { get; init; }

    /// <summary>Leave the new domain paused.</summary>
    public bool Paused { get; init; }

    /// <summary>Check, and do nothing.</summary>
    public bool DryRun { get; init; }
}
