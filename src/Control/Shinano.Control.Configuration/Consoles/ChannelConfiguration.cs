namespace Shinano.Control.Configuration.Consoles;

/// <summary>A console beside the first one, as an entry of <c>channel</c> asks for it.</summary>
public sealed record ChannelConfiguration
{
    /// <summary>The highest number: Linux's hvc_xen goes by the last digit of the device's node, and the first console has 0.</summary>
    public const int HighestNumber = 9;

    /// <summary>The device's number, from 1 on.</summary>
    public required int Number { get; init; }

    /// <summary>What the guest knows it by.</summary>
    public required string Name { get; init; }

    public ChannelConnection Connection { get; init; }

    /// <summary>The socket, of <see cref="ChannelConnection.Socket"/>; null for others.</summary>
    public string? Path { get; init; }
}
