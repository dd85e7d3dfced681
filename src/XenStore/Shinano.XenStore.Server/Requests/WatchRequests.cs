using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Requests;

/// <summary>The requests about watches. A domain's are journalled; a socket's end with its connection.</summary>
internal sealed class WatchRequests(StoreEngine engine)
{
    /// <summary>Adds a watch. The caller answers the request and then calls <see cref="FireInitially"/>.</summary>
    internal XenStoreError Add(StoreSession session, string path, string token, out Watch? watch)
    {
        watch = null;
        string absolute = session.Resolve(path);
        if (!XenStorePath.IsValidWatch(absolute, engine.State.Quotas.PathLength))
        {
            return XenStoreError.Invalid;
        }

        if (session.FindWatch(absolute, token) is { } existing)
        {
            // A repetition of a request whose answer was lost is not an error.
            watch = existing;
            return session.ReplaysLeft > 0 ? XenStoreError.None : XenStoreError.AlreadyExists;
        }

        // Xen 4.17: domain_watch(conn) > quota, so one more than the number is possible.
        if (!session.IsPrivileged && session.Watches.Count > engine.State.Quotas.Watches)
        {
            return XenStoreError.TooBig;
        }

        if (session.IsPrivileged)
        {
            engine.State.Watches.Add(new Watch(session, path, token));
        }
        else
        {
            XenStoreError error = engine.Commit([new AddWatch(session.Domain, path, token)], []);
            if (error != XenStoreError.None)
            {
                return error;
            }
        }

        watch = session.FindWatch(absolute, token);
        return XenStoreError.None;
    }

    internal XenStoreError Remove(StoreSession session, string path, string token)
    {
        if (session.FindWatch(session.Resolve(path), token) is not { } watch)
        {
            return session.ReplaysLeft > 0 ? XenStoreError.None : XenStoreError.NotFound;
        }

        if (session.IsPrivileged)
        {
            engine.State.Watches.Remove(watch);
            return XenStoreError.None;
        }

        return engine.Commit([new RemoveWatch(session.Domain, path, token)], []);
    }

    /// <summary>RESET_WATCHES: watches and transactions of the caller go.</summary>
    internal XenStoreError Reset(StoreSession session)
    {
        if (session.IsPrivileged)
        {
            engine.Close(session);
            return XenStoreError.None;
        }

        session.Transactions.Clear();
        return session.Watches.Count == 0
            ? XenStoreError.None
            : engine.Commit([new ClearWatches(session.Domain)], []);
    }

    /// <summary>A new watch fires once, and so does each watch of a domain whose relay connects again.</summary>
    internal static void FireInitially(Watch watch) => watch.Session.Sink?.WatchFired(watch.PathToReport(watch.Path), watch.Token);
}
