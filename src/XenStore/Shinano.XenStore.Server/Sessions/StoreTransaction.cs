using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// A transaction: a view of its own (the whole tree as it was at the first access), what it looked at, and what it changed.
/// </summary>
/// <remarks>
/// The commit conflicts when any node it looked at has another generation now (Xen 4.17: xenstored_transaction.c). Looking includes
/// finding that a node is not there, and changing a node includes looking at it.
/// </remarks>
internal sealed class StoreTransaction(bool isDoomed)
{
    private readonly Dictionary<string, ulong?> looked = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> changedAt = new(StringComparer.Ordinal);
    private readonly HashSet<string> changedPaths = new(StringComparer.Ordinal);
    private readonly List<WatchTrigger> triggers = [];
    private StoreTree? before;

    /// <summary>
    /// True for a transaction that the server has forgotten in a restart: it works on a copy, and its commit is EAGAIN, so that the
    /// guest runs it again.
    /// </summary>
    internal bool IsDoomed { get; } = isDoomed;

    /// <summary>A request in it broke a limit: it can no longer be committed (ENOMEM, as xenstored).</summary>
    internal bool HasFailed { get; private set; }

    internal bool HasCreatedNodes { get; private set; }

    /// <summary>The view, with the transaction's own changes.</summary>
    internal StoreTree? Tree { get; private set; }

    /// <summary>The changes in the order they were first made.</summary>
    internal IReadOnlyList<WatchTrigger> Triggers => triggers;

    /// <summary>Notes that a node is looked at, and returns it.</summary>
    /// <param name="current">The store's tree; becomes the view at the first access.</param>
    /// <param name="maximumNodes">Quota "transaction-nodes", or null for domain 0.</param>
    internal XenStoreError Look(StoreTree current, string path, uint? maximumNodes, out StoreNode? node)
    {
        Tree ??= before = current;
        if (!looked.ContainsKey(path))
        {
            if (looked.Count >= maximumNodes)
            {
                HasFailed = true;
                node = null;
                return XenStoreError.NoSpace;
            }

            looked.Add(path, before!.Find(path)?.Generation);
        }

        node = Tree.Find(path);
        return XenStoreError.None;
    }

    /// <summary>Changes the view. The nodes named by the triggers must have been looked at.</summary>
    internal void Change(StoreTree changed, IEnumerable<string> paths, IEnumerable<WatchTrigger> changes, bool creates)
    {
        Tree = changed;
        HasCreatedNodes |= creates;
        changedPaths.UnionWith(paths);
        foreach (WatchTrigger change in changes)
        {
            if (changedAt.TryGetValue(change.Path, out int index))
            {
                // Keep what was there before the transaction; a change that reaches the node's children wins over one that does not.
                triggers[index] = triggers[index] with { Exact = triggers[index].Exact && change.Exact };
                continue;
            }

            changedAt.Add(change.Path, triggers.Count);
            triggers.Add(change with { Before = before!.Find(change.Path)?.Permissions ?? default });
        }
    }

    internal bool ConflictsWith(StoreTree current)
    {
        if (ReferenceEquals(before, current))
        {
            return false;
        }

        foreach ((string path, ulong? generation) in looked)
        {
            if (current.Find(path)?.Generation != generation)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The difference that the commit makes, parents before children.</summary>
    /// <param name="nextGeneration">Gives a new generation for each changed node.</param>
    internal List<StoreMutation> Difference(StoreTree current, Func<ulong> nextGeneration)
    {
        var mutations = new List<StoreMutation>();
        string[] paths = [.. changedPaths.Order(StringComparer.Ordinal)];
        string? removed = null;
        foreach (string path in paths)
        {
            if (Tree!.Find(path) is null
                && current.Find(path) is not null
                && (removed is null || !path.StartsWith(removed, StringComparison.Ordinal)))
            {
                removed = path + "/";
                mutations.Add(new RemoveNode(path, nextGeneration()));
            }
        }

        // In the order of creation: parents precede their children, and listings show what the client made first, first.
        foreach ((string path, StoreNode? node) in paths
            .Select(path => (Path: path, Node: Tree!.Find(path)))
            .Where(changed => changed.Node is not null)
            .OrderBy(changed => changed.Node!.Order))
        {
            ulong generation = nextGeneration();
            mutations.Add(
                new PutNode(path, node!.Value, node.Permissions, generation, current.Find(path)?.Order ?? generation));
        }

        return mutations;
    }
}
