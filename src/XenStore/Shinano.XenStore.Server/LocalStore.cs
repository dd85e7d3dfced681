using System.Globalization;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server;

/// <summary>
/// The store for the daemon that hosts it, without a socket, as domain 0. Thread-safe. Members throw <see cref="XenStoreException"/>
/// when refused.
/// </summary>
public sealed class LocalStore
{
    private readonly RequestDispatcher dispatcher;
    private readonly IRequestObserver observer;
    private readonly StoreSession session;
    private readonly LocalNodes nodes;
    private readonly Dictionary<string, StoreWatch> watches = new(StringComparer.Ordinal);
    private uint nextToken;

    internal LocalStore(RequestDispatcher dispatcher, IRequestObserver observer)
    {
        this.dispatcher = dispatcher;
        this.observer = observer;
        session = new StoreSession(DomainId.Zero, Environment.ProcessId) { Sink = new WatchSink(this) };
        nodes = new LocalNodes(dispatcher, observer, session, transaction: null, transactionId: 0);
    }

    /// <summary>The nodes, outside a transaction.</summary>
    public IXenStoreNodes Nodes => nodes;

    /// <summary>The domains that may talk to the store, in ascending order; also after a restart of the daemon.</summary>
    public IReadOnlyList<DomainId> IntroducedDomains
    {
        get
        {
            lock (dispatcher.Engine.Gate)
            {
                return [.. dispatcher.Engine.State.Domains.Keys.Select(number => new DomainId(number))];
            }
        }
    }

    /// <summary>
    /// Runs changes as one: all become visible at once, or none. When others changed what it looked at, it is run again, so it must
    /// have no other effects.
    /// </summary>
    /// <exception cref="XenStoreException">A request in it was refused, or it conflicted a hundred times.</exception>
    public void Transact(LocalTransaction body)
    {
        ArgumentNullException.ThrowIfNull(body);
        const int MaximumAttempts = 100;
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                TransactOnce(body);
                return;
            }
            catch (XenStoreException conflict) when (conflict.Error == XenStoreError.TryAgain && attempt < MaximumAttempts)
            {
                // Others were faster; the transaction starts again on what is there now.
            }
        }
    }

    /// <summary>Sets a watch. Its first event comes at once.</summary>
    /// <param name="path">A node's absolute path, or @introduceDomain or @releaseDomain.</param>
    public StoreWatch Watch(string path)
    {
        lock (dispatcher.Engine.Gate)
        {
            var watch = new StoreWatch(this, path, (++nextToken).ToString(CultureInfo.InvariantCulture));
            watches.Add(watch.Token, watch);
            Watch? added = null;
            try
            {
                nodes.Do(
                    XenStoreOperation.Watch, path, () => dispatcher.Watches.Add(session, path, watch.Token, out added));
            }
            catch
            {
                watches.Remove(watch.Token);
                throw;
            }

            WatchRequests.FireInitially(added!);
            return watch;
        }
    }

    /// <summary>
    /// Lets a domain talk to the store and fires @introduceDomain. A domain that is introduced already loses its watches and
    /// transactions: do not do this for a running domain that was found again.
    /// </summary>
    /// <param name="frame">Machine frame of the ring; for the record only.</param>
    /// <param name="port">The domain's event channel of the ring; not 0.</param>
    public void IntroduceDomain(DomainId domain, ulong frame, uint port) =>
        nodes.Do(XenStoreOperation.Introduce, Show(domain), () => dispatcher.Domains.Introduce(domain, frame, port));

    /// <summary>
    /// Says what the process of an introduced domain shows on the relay socket; before that nobody can speak for the domain. Not durable: to be said
    /// again after a restart of the daemon.
    /// </summary>
    /// <exception cref="XenStoreException">The domain is not introduced.</exception>
    public void BindRelay(DomainId domain, RelayToken token)
    {
        ArgumentNullException.ThrowIfNull(token);
        lock (dispatcher.Engine.Gate)
        {
            Find(domain).Token = token;
        }
    }

    /// <summary>The watches of an introduced domain, as it gave them.</summary>
    public IReadOnlyList<(string Path, string Token)> WatchesOf(DomainId domain)
    {
        lock (dispatcher.Engine.Gate)
        {
            return [.. (dispatcher.Engine.State.FindDomain(domain)?.Session.Watches ?? []).Select(watch => (watch.Given, watch.Token))];
        }
    }

    /// <summary>Sets a watch for an introduced domain that had it before it was restored or moved. It does not fire before the domain's relay connects.</summary>
    /// <exception cref="XenStoreException">The path is none, or the domain has more watches than it may.</exception>
    public void AddWatch(DomainId domain, string path, string token)
    {
        lock (dispatcher.Engine.Gate)
        {
            StoreSession owner = Find(domain).Session;
            nodes.Do(XenStoreOperation.Watch, path, () => dispatcher.Watches.Add(owner, path, token, out _));
        }
    }

    /// <summary>
    /// Says which numbers an introduced domain had before it was restored or moved, the oldest first: absolute paths that it knows from then go on to mean its own
    /// nodes and back ends. Not durable: to be said again after a restart of the daemon.
    /// </summary>
    /// <exception cref="XenStoreException">The domain is not introduced.</exception>
    public void SetFormerIds(DomainId domain, IReadOnlyList<DomainId> formerIds)
    {
        ArgumentNullException.ThrowIfNull(formerIds);
        lock (dispatcher.Engine.Gate)
        {
            dispatcher.Engine.State.SetFormerIds(Find(domain), formerIds);
        }
    }

    /// <summary>
    /// Forgets a domain that is gone: nodes it owns go, permissions naming it go, @releaseDomain fires. Does nothing for a domain that
    /// is not introduced.
    /// </summary>
    public void ReleaseDomain(DomainId domain)
    {
        lock (dispatcher.Engine.Gate)
        {
            if (dispatcher.Engine.State.FindDomain(domain) is not null)
            {
                nodes.Do(XenStoreOperation.Release, Show(domain), () => dispatcher.Domains.Release(domain));
            }
        }
    }

    /// <summary>Tells the watchers of @releaseDomain, once, that a domain has shut down or crashed. The domain stays introduced.</summary>
    public void NotifyDomainShutdown(DomainId domain)
    {
        lock (dispatcher.Engine.Gate)
        {
            XenStoreError error = dispatcher.Domains.NotifyShutdown(domain);
            if (error != XenStoreError.None)
            {
                throw new XenStoreException(error, $"shutdown of domain {Show(domain)}");
            }
        }
    }

    /// <summary>A domain that had shut down runs again (after a suspend): its next shutdown is told again.</summary>
    public void ResumeDomain(DomainId domain) =>
        nodes.Do(XenStoreOperation.Resume, Show(domain), () => dispatcher.Domains.Resume(domain));

    /// <summary>Gives a domain the rights of another on the store.</summary>
    public void SetTarget(DomainId domain, DomainId target) =>
        nodes.Do(XenStoreOperation.SetTarget, Show(domain), () => dispatcher.Domains.SetTarget(domain, target));

    public bool IsIntroduced(DomainId domain)
    {
        lock (dispatcher.Engine.Gate)
        {
            return dispatcher.Domains.IsIntroduced(domain);
        }
    }

    internal void Remove(StoreWatch watch)
    {
        lock (dispatcher.Engine.Gate)
        {
            if (watches.Remove(watch.Token))
            {
                nodes.Do(XenStoreOperation.Unwatch, watch.Path, () => dispatcher.Watches.Remove(session, watch.Path, watch.Token));
            }
        }
    }

    private DomainRecord Find(DomainId domain) => dispatcher.Engine.State.FindDomain(domain)
        ?? throw new XenStoreException(XenStoreError.NotFound, $"domain {Show(domain)}");

    private static string Show(DomainId domain) => domain.Value.ToString(CultureInfo.InvariantCulture);

    private void TransactOnce(LocalTransaction body)
    {
        StoreEngine engine = dispatcher.Engine;
        var transaction = new StoreTransaction(isDoomed: false);
        uint id;
        lock (engine.Gate)
        {
            id = session.AllocateTransactionId();
            session.Transactions.Add(id, transaction);
        }

        var view = new LocalNodes(dispatcher, observer, session, transaction, id);
        try
        {
            body(view);
        }
        finally
        {
            lock (engine.Gate)
            {
                session.Transactions.Remove(id);
            }
        }

        view.Do(XenStoreOperation.TransactionEnd, "T", () => engine.Commit(session, transaction));
    }

    private sealed class WatchSink(LocalStore store) : ISessionSink
    {
        public void Reply(XenStorePacket reply)
        {
            // The daemon's calls return their results.
        }

        public void WatchFired(string path, string token) => store.watches.GetValueOrDefault(token)?.Fired(path);
    }
}
