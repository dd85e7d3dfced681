using System.Collections.Immutable;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Journal;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// The one place through which the state changes: journal first, then memory, then watches. All members need <see cref="Gate"/>.
/// </summary>
internal sealed class StoreEngine(StoreState state, IStoreJournal journal)
{
    /// <summary>Serialises all requests, as xenstored's single thread does.</summary>
    internal Lock Gate { get; } = new();

    internal StoreState State { get; } = state;

    /// <summary>Looks at a node as the caller sees it: in the store, or in its transaction.</summary>
    internal XenStoreError Look(StoreSession session, StoreTransaction? transaction, string path, out StoreNode? node)
    {
        if (transaction is not null)
        {
            return transaction.Look(State.Tree, path, session.IsPrivileged ? null : State.Quotas.TransactionNodes, out node);
        }

        node = State.Tree.Find(path);
        return XenStoreError.None;
    }

    /// <summary>The tree a change starts from.</summary>
    internal StoreTree TreeOf(StoreTransaction? transaction) => transaction?.Tree ?? State.Tree;

    /// <summary>Changes nodes: at once, or in the view of a transaction.</summary>
    internal XenStoreError Change(
        StoreTransaction? transaction, IReadOnlyList<StoreMutation> mutations, IReadOnlyList<WatchTrigger> triggers, bool creates)
    {
        if (transaction is null)
        {
            return Commit(mutations, triggers);
        }

        StoreTree tree = TreeOf(transaction);
        var paths = new List<string>();
        foreach (StoreMutation mutation in mutations)
        {
            switch (mutation)
            {
                case PutNode put:
                    tree = tree.Put(put);
                    paths.Add(put.Path);
                    break;
                case RemoveNode remove:
                    tree = tree.Remove(remove.Path, remove.Generation);
                    paths.Add(remove.Path);
                    break;
                default:
                    throw new InvalidOperationException($"{mutation.GetType().Name} cannot be part of a transaction.");
            }
        }

        transaction.Change(tree, paths.Concat(triggers.Select(trigger => trigger.Path)), triggers, creates);
        return XenStoreError.None;
    }

    /// <summary>Makes a change durable and visible and fires its watches.</summary>
    /// <returns>EIO when the journal cannot take it; then nothing has changed.</returns>
    internal XenStoreError Commit(IReadOnlyList<StoreMutation> mutations, IReadOnlyList<WatchTrigger> triggers)
    {
        StoreTree before = State.Tree;
        if (mutations.Count > 0 && !journal.TryAppend(mutations))
        {
            return XenStoreError.InputOutput;
        }

        foreach (StoreMutation mutation in mutations)
        {
            State.Apply(mutation);
        }

        foreach (WatchTrigger trigger in triggers)
        {
            Fire(trigger, before);
        }

        return XenStoreError.None;
    }

    /// <summary>Ends a transaction by making its changes.</summary>
    internal XenStoreError Commit(StoreSession session, StoreTransaction transaction)
    {
        if (transaction.IsDoomed)
        {
            return XenStoreError.TryAgain;
        }

        if (transaction.HasFailed)
        {
            return XenStoreError.OutOfMemory;
        }

        if (transaction.ConflictsWith(State.Tree))
        {
            return XenStoreError.TryAgain;
        }

        List<StoreMutation> mutations = transaction.Tree is null ? [] : transaction.Difference(State.Tree, State.NextGeneration);
        if (transaction.HasCreatedNodes && !session.IsPrivileged)
        {
            StoreTree after = State.Tree;
            foreach (StoreMutation mutation in mutations)
            {
                after = mutation is PutNode put ? after.Put(put) : after.Remove(((RemoveNode)mutation).Path, 0);
            }

            if (after.CountOwnedBy(session.Domain) > State.Quotas.Nodes)
            {
                return XenStoreError.NoSpace;
            }
        }

        return Commit(mutations, transaction.Triggers);
    }

    /// <summary>Ends a session that is not a domain's: its watches and transactions go.</summary>
    internal void Close(StoreSession session)
    {
        State.Watches.RemoveAll(session);
        session.Transactions.Clear();
    }

    private void Fire(WatchTrigger trigger, StoreTree before)
    {
        foreach (Watch watch in State.Watches.Matching(trigger.Path, trigger.Exact))
        {
            if (MaySee(watch.Session, trigger, before))
            {
                watch.Session.Sink?.WatchFired(watch.PathToReport(trigger.Path), watch.Token);
            }
        }
    }

    // Xen 4.17: watch_permitted. The node, the node as it was, or its parent must be readable by who watches.
    private bool MaySee(StoreSession session, WatchTrigger trigger, StoreTree before)
    {
        if (session.IsPrivileged)
        {
            return true;
        }

        if (XenStorePath.IsSpecial(trigger.Path))
        {
            return State.SpecialPermissions(trigger.Path) is { } special && CanRead(session, special);
        }

        if (!trigger.Before.IsDefault && CanRead(session, trigger.Before))
        {
            return true;
        }

        StoreTree tree = State.Tree.Find(trigger.Path) is null ? before : State.Tree;
        return (tree.Find(trigger.Path) is { } node && CanRead(session, node.Permissions))
            || (tree.Find(XenStorePath.Parent(trigger.Path)) is { } parent && CanRead(session, parent.Permissions));
    }

    private static bool CanRead(StoreSession session, ImmutableArray<NodePermission> permissions) =>
        (session.AccessTo(permissions) & NodeAccess.Read) != 0;
}
