using Shinano.XenStore.Server.Hosting;
using Shinano.XenStore.Server.Journal;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server;

/// <summary>
/// The xenstore daemon, hosted by xend: what was there before a restart is there again, sockets are served until it is disposed.
/// </summary>
public sealed class XenStoreServer : IAsyncDisposable
{
    private readonly StoreJournal journal;
    private readonly StoreEngine engine;
    private readonly List<SocketListener> listeners = [];
    private bool isDisposed;

    private XenStoreServer(StoreJournal journal, JournalRecovery recovery, StoreEngine engine, LocalStore store)
    {
        this.journal = journal;
        this.engine = engine;
        Recovery = recovery;
        Store = store;
    }

    /// <summary>What the journal held at the start.</summary>
    public JournalRecovery Recovery { get; }

    /// <summary>The store for the hosting daemon, as domain 0 and without a socket.</summary>
    public LocalStore Store { get; }

    /// <summary>Reads the journal and starts to listen. When the task completes, clients can connect.</summary>
    /// <exception cref="IOException">
    /// Another server has the state directory, it cannot be read or written, the journal is damaged, or a socket cannot be made.
    /// </exception>
    public static async Task<XenStoreServer> StartAsync(XenStoreServerOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        cancellation.ThrowIfCancellationRequested();
        (StoreJournal journal, StoreState state, JournalRecovery recovery) = StoreJournal.Open(options.StateDirectory, options.Report);
        var engine = new StoreEngine(state, journal);
        var snoop = new SnoopHub();
        var dispatcher = new RequestDispatcher(engine, snoop, options.Report);
        var server = new XenStoreServer(journal, recovery, engine, new LocalStore(dispatcher, snoop));
        try
        {
            // As xenstored: setup_structure. Tools take this node as the sign that the store is up.
            if (server.Store.Nodes.TryList("/tool/xenstored") is null)
            {
                server.Store.Nodes.MakeDirectory("/tool/xenstored");
            }

            server.listeners.Add(new SocketListener(
                options.SnoopSocketPath, snoop.ServeAsync, options.Report));
            server.listeners.Add(new SocketListener(
                options.RelaySocketPath,
                (socket, stop) => RelayEndpoint.ServeAsync(socket, dispatcher, stop),
                options.Report));
            server.listeners.Add(new SocketListener(
                options.SocketPath,
                (socket, stop) => ClientEndpoint.ServeAsync(socket, dispatcher, stop),
                options.Report));
            return server;
        }
        catch
        {
            await server.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Ends all connections and forces the journal to the disk. Domains stay introduced for the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref isDisposed, true))
        {
            return;
        }

        foreach (SocketListener listener in listeners)
        {
            await listener.DisposeAsync().ConfigureAwait(false);
        }

        lock (engine.Gate)
        {
            journal.Flush();
            journal.Dispose();
        }
    }
}
