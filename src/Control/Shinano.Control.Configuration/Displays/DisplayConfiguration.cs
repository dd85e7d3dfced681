namespace Shinano.Control.Configuration.Displays;

/// <summary>A virtual framebuffer and how it is shown, as an entry of <c>vfb</c> asks for it.</summary>
public sealed record DisplayConfiguration
{
    /// <summary>Address to listen on.</summary>
    public string Listen { get; init; } = "127.0.0.1";

    /// <summary>The first display to try; its TCP port is 5900 higher.</summary>
    public int Display { get; init; }

    /// <summary>Take the next free display when that one is taken.</summary>
    public bool FindUnused { get; init; } = true;

    /// <summary>VNC password; null for none.</summary>
    public string? Password { get; init; }

    /// <summary>False for a framebuffer that nobody is shown.</summary>
    public bool IsShown { get; init; } = true;
}
