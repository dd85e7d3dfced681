using System.Collections.Immutable;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Requests;

/// <summary>
/// The requests about nodes, with the permissions, quotas and errors of Xen 4.17's xenstored_core.c. All members need the engine's
/// lock. Paths are as the client gave them.
/// </summary>
internal sealed class NodeRequests(StoreEngine engine)
{
    internal XenStoreError Read(StoreSession session, StoreTransaction? transaction, string path, out ReadOnlyMemory<byte> value)
    {
        XenStoreError error = Find(session, transaction, path, NodeAccess.Read, out _, out StoreNode? node);
        value = node?.Value ?? default;
        return error;
    }

    /// <summary>Finds a node for DIRECTORY, DIRECTORY_PART and GET_PERMS.</summary>
    internal XenStoreError Inspect(StoreSession session, StoreTransaction? transaction, string path, out StoreNode? node) =>
        Find(session, transaction, path, NodeAccess.Read, out _, out node);

    internal XenStoreError Write(StoreSession session, StoreTransaction? transaction, string path, ReadOnlyMemory<byte> value)
    {
        XenStoreError error = Find(session, transaction, path, NodeAccess.Write, out string absolute, out StoreNode? node);
        if (error == XenStoreError.NotFound)
        {
            return Create(session, transaction, absolute, value);
        }

        if (error != XenStoreError.None)
        {
            return error;
        }

        if (ExceedsNodeSize(session, node!.Permissions.Length, value.Length, node.ChildNamesLength))
        {
            return XenStoreError.NoSpace;
        }

        var put = new PutNode(absolute, value, node.Permissions, engine.State.NextGeneration(), node.Order);
        return engine.Change(transaction, [put], [new WatchTrigger(absolute, Exact: false, node.Permissions)], creates: false);
    }

    internal XenStoreError MakeDirectory(StoreSession session, StoreTransaction? transaction, string path)
    {
        XenStoreError error = Find(session, transaction, path, NodeAccess.Write, out string absolute, out _);
        return error == XenStoreError.NotFound ? Create(session, transaction, absolute, ReadOnlyMemory<byte>.Empty) : error;
    }

    internal XenStoreError Remove(StoreSession session, StoreTransaction? transaction, string path)
    {
        XenStoreError error = Find(session, transaction, path, NodeAccess.Write, out string absolute, out StoreNode? node);
        if (error == XenStoreError.NotFound)
        {
            // Not there already is fine, if the parent is.
            XenStoreError looked = engine.Look(session, transaction, XenStorePath.Parent(absolute), out StoreNode? parent);
            return looked != XenStoreError.None ? looked : parent is null ? XenStoreError.NotFound : XenStoreError.None;
        }

        if (error != XenStoreError.None)
        {
            return error;
        }

        return absolute == "/" ? XenStoreError.Invalid : RemoveTree(session, transaction, absolute, node!);
    }

    internal XenStoreError SetPermissions(
        StoreSession session, StoreTransaction? transaction, string path, ImmutableArray<NodePermission> permissions)
    {
        if (permissions.IsDefaultOrEmpty)
        {
            return XenStoreError.Invalid;
        }

        if (!session.IsPrivileged && permissions.Length > engine.State.Quotas.Permissions)
        {
            return XenStoreError.NoSpace;
        }

        if (XenStorePath.IsSpecial(path))
        {
            return SetSpecialPermissions(session, path, permissions);
        }

        XenStoreError error = Find(
            session, transaction, path, NodeAccess.Write | NodeAccess.Owner, out string absolute, out StoreNode? node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        if (!session.IsPrivileged && permissions[0].Domain != node!.Permissions[0].Domain)
        {
            return XenStoreError.PermissionRefused;
        }

        if (ExceedsNodeSize(session, permissions.Length, node!.Value.Length, node.ChildNamesLength))
        {
            return XenStoreError.NoSpace;
        }

        var put = new PutNode(absolute, node.Value, permissions, engine.State.NextGeneration(), node.Order);
        return engine.Change(transaction, [put], [new WatchTrigger(absolute, Exact: false, node.Permissions)], creates: false);
    }

    /// <summary>What a removal changes and whom it tells: those below first, each only exactly; the removed node last.</summary>
    internal static List<WatchTrigger> TriggersOfRemoval(string path, StoreNode node)
    {
        var triggers = new List<WatchTrigger>();
        foreach ((string below, StoreNode removed) in StoreTree.Walk(path, node))
        {
            triggers.Add(new WatchTrigger(below, Exact: below != path, removed.Permissions));
        }

        triggers.Reverse();
        return triggers;
    }

    private XenStoreError RemoveTree(StoreSession session, StoreTransaction? transaction, string path, StoreNode node)
    {
        List<WatchTrigger> triggers = TriggersOfRemoval(path, node);
        foreach (string looked in triggers.Select(trigger => trigger.Path).Append(XenStorePath.Parent(path)))
        {
            XenStoreError error = engine.Look(session, transaction, looked, out _);
            if (error != XenStoreError.None)
            {
                return error;
            }
        }

        return engine.Change(transaction, [new RemoveNode(path, engine.State.NextGeneration())], triggers, creates: false);
    }

    // Creates a node and what is missing above it. New nodes inherit permissions; a domain owns what it creates.
    private XenStoreError Create(StoreSession session, StoreTransaction? transaction, string path, ReadOnlyMemory<byte> value)
    {
        var missing = new List<string>();
        StoreNode? parent;
        string next = path;
        do
        {
            missing.Add(next);
            next = XenStorePath.Parent(next);
            XenStoreError error = engine.Look(session, transaction, next, out parent);
            if (error != XenStoreError.None)
            {
                return error;
            }
        }
        while (parent is null);

        missing.Reverse();
        if (!session.IsPrivileged)
        {
            int owned = engine.TreeOf(transaction).CountOwnedBy(session.Domain);
            if (owned + missing.Count > engine.State.Quotas.Nodes)
            {
                return XenStoreError.NoSpace;
            }
        }

        ImmutableArray<NodePermission> permissions = parent.Permissions;
        int childNames = parent.ChildNamesLength + XenStorePath.LeafName(missing[0]).Length + 1;
        if (ExceedsNodeSize(session, permissions.Length, parent.Value.Length, childNames))
        {
            return XenStoreError.NoSpace;
        }

        if (!session.IsPrivileged)
        {
            permissions = permissions.SetItem(0, permissions[0] with { Domain = session.Domain });
        }

        var puts = new List<StoreMutation>(missing.Count);
        for (int i = 0; i < missing.Count; i++)
        {
            bool isLast = i == missing.Count - 1;
            ReadOnlyMemory<byte> content = isLast ? value : ReadOnlyMemory<byte>.Empty;
            int names = isLast ? 0 : XenStorePath.LeafName(missing[i + 1]).Length + 1;
            if (ExceedsNodeSize(session, permissions.Length, content.Length, names))
            {
                return XenStoreError.NoSpace;
            }

            ulong generation = engine.State.NextGeneration();
            puts.Add(new PutNode(missing[i], content, permissions, generation, generation));
        }

        return engine.Change(transaction, puts, [new WatchTrigger(path, Exact: false, default)], creates: true);
    }

    private XenStoreError SetSpecialPermissions(StoreSession session, string path, ImmutableArray<NodePermission> permissions)
    {
        if (engine.State.SpecialPermissions(path) is not { } current)
        {
            return XenStoreError.Invalid;
        }

        const NodeAccess Needed = NodeAccess.Write | NodeAccess.Owner;
        return (session.AccessTo(current) & Needed) != Needed
            ? XenStoreError.AccessDenied
            : engine.Commit([new SetSpecialPermissions(path, permissions)], []);
    }

    // Xen 4.17: get_node and errno_from_parents. Who may not read what is above shall not learn whether the node is there.
    private XenStoreError Find(
        StoreSession session, StoreTransaction? transaction, string path, NodeAccess needed, out string absolute, out StoreNode? node)
    {
        node = null;
        absolute = session.Resolve(path);
        if (!XenStorePath.IsValidNode(absolute, engine.State.Quotas.PathLength))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = engine.Look(session, transaction, absolute, out StoreNode? found);
        if (error != XenStoreError.None)
        {
            return error;
        }

        if (found is not null && (session.AccessTo(found.Permissions) & needed) == needed)
        {
            node = found;
            return XenStoreError.None;
        }

        if (found is not null)
        {
            return XenStoreError.AccessDenied;
        }

        string above = absolute;
        StoreNode? ancestor = null;
        while (ancestor is null && above != "/")
        {
            above = XenStorePath.Parent(above);
            error = engine.Look(session, transaction, above, out ancestor);
            if (error != XenStoreError.None)
            {
                return error;
            }
        }

        return ancestor is not null && (session.AccessTo(ancestor.Permissions) & needed) != 0
            ? XenStoreError.NotFound
            : XenStoreError.AccessDenied;
    }

    private bool ExceedsNodeSize(StoreSession session, int permissionCount, int valueLength, int childNamesLength) =>
        !session.IsPrivileged
        && StoreNode.QuotaSize(permissionCount, valueLength, childNamesLength) >= engine.State.Quotas.NodeSize;
}
