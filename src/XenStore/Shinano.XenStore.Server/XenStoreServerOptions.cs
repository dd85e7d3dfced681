using Shinano.Linux;

namespace Shinano.XenStore.Server;

/// <summary>Where a xenstore server listens and keeps its state.</summary>
public sealed record XenStoreServerOptions
{
    /// <summary>For the tools of domain 0: the real wire protocol. Mode 0600.</summary>
    public required string SocketPath { get; init; }

    /// <summary>For domain processes: see <see cref="Protocol.RelayHello"/>. Mode 0600.</summary>
    public required string RelaySocketPath { get; init; }

    /// <summary>For xenstore-snoop: lines of text. Mode 0600.</summary>
    public required string SnoopSocketPath { get; init; }

    /// <summary>For the journal; one server at a time. Created with mode 0700.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>Takes messages for the daemon's log. Called from any thread.</summary>
    public Action<string> Report { get; init; } = static _ => { };

    /// <summary>The places of <see cref="ShinanoPaths"/>.</summary>
    public static XenStoreServerOptions From(ShinanoPaths paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return new XenStoreServerOptions
        {
            SocketPath = paths.XenStoreServerSocket,
            RelaySocketPath = paths.XenStoreRelaySocket,
            SnoopSocketPath = paths.XenStoreSnoopSocket,
            StateDirectory = paths.XenStoreStateDirectory,
        };
    }
}
