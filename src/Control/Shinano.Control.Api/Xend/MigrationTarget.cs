namespace Shinano.Control.Api.Xend;

/// <summary>How the other side of a migration is reached: over TLS, or over a command's standard streams. One of <see cref="Host"/> and <see cref="Command"/> is set.</summary>
public sealed record MigrationTarget
{
    /// <summary>The port of <see cref="Host"/> when none is said; xend's port for TLS in Xen's own xend-config.sxp (xend-relocation-ssl-server-port).</summary>
    public const int DefaultPort = 8003;

    /// <summary>A name or an address, for TLS.</summary>
    public string? Host { get; init; }

    public int Port { get; init; } = DefaultPort;

    /// <summary>A command line for /bin/sh whose standard streams lead to the other side's <c>xm migrate-receive</c>.</summary>
    public string? Command { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Command is { } command ? $"'{command}'" : $"{Host}:{Port}";
}
