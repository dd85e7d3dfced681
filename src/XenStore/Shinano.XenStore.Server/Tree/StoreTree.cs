using System.Collections.Immutable;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Tree;

/// <summary>All nodes at one moment, with the number of nodes each domain owns. Immutable.</summary>
internal sealed class StoreTree
{
    private readonly ImmutableDictionary<DomainId, int> ownedNodes;

    private StoreTree(StoreNode root, ImmutableDictionary<DomainId, int> ownedNodes)
    {
        Root = root;
        this.ownedNodes = ownedNodes;
    }

    /// <summary>Only the root, owned by domain 0 and closed to the others, as xenstored starts.</summary>
    internal static StoreTree Empty { get; } = new(
        new StoreNode(
            ReadOnlyMemory<byte>.Empty, [new NodePermission(DomainId.Zero, NodeAccess.None)], StoreNode.NoChildren, 0, generation: 0, order: 0),
        ImmutableDictionary<DomainId, int>.Empty.Add(DomainId.Zero, 1));

    internal StoreNode Root { get; }

    internal int CountOwnedBy(DomainId domain) => ownedNodes.GetValueOrDefault(domain);

    /// <param name="path">Absolute and valid.</param>
    internal StoreNode? Find(string path)
    {
        StoreNode? node = Root;
        int start = 1;
        while (node is not null && start < path.Length)
        {
            node = node.Children.GetValueOrDefault(NextSegment(path, ref start));
        }

        return node;
    }

    /// <summary>Creates a leaf below an existing parent, or changes the content of an existing node and keeps its children.</summary>
    /// <exception cref="InvalidOperationException">The parent does not exist: an error of ours, never of a client.</exception>
    internal StoreTree Put(PutNode put)
    {
        StoreNode? existing = Find(put.Path);
        ImmutableDictionary<DomainId, int> owned = existing is null ? ownedNodes : Count(ownedNodes, existing, -1);
        StoreNode root = Put(Root, put, 1);
        owned = Count(owned, put.Permissions[0].Domain, 1);
        return new StoreTree(root, owned);
    }

    /// <summary>Removes a node and all below it; the same tree if there is none. The root cannot be removed.</summary>
    internal StoreTree Remove(string path, ulong generation)
    {
        if (path == "/" || Find(path) is not { } node)
        {
            return this;
        }

        ImmutableDictionary<DomainId, int> owned = ownedNodes;
        foreach ((_, StoreNode removed) in Walk(path, node))
        {
            owned = Count(owned, removed, -1);
        }

        return new StoreTree(Remove(Root, path, 1, generation), owned);
    }

    /// <summary>A node and all below it, parents before children, siblings in the order of their creation.</summary>
    internal static IEnumerable<(string Path, StoreNode Node)> Walk(string path, StoreNode node)
    {
        var pending = new Stack<(string Path, StoreNode Node)>();
        pending.Push((path, node));
        while (pending.TryPop(out (string Path, StoreNode Node) next))
        {
            yield return next;
            foreach ((string name, StoreNode child) in next.Node.ChildrenInOrder.Reverse())
            {
                pending.Push((XenStorePath.Child(next.Path, name), child));
            }
        }
    }

    private static StoreNode Put(StoreNode node, PutNode put, int start)
    {
        if (start >= put.Path.Length)
        {
            return node.WithContent(put.Value, put.Permissions, put.Generation, put.Order);
        }

        string name = NextSegment(put.Path, ref start);
        if (node.Children.TryGetValue(name, out StoreNode? child))
        {
            return node.WithReplacedChild(name, Put(child, put, start));
        }

        if (start < put.Path.Length)
        {
            throw new InvalidOperationException($"The parent of '{put.Path}' does not exist.");
        }

        var leaf = new StoreNode(put.Value, put.Permissions, StoreNode.NoChildren, 0, put.Generation, put.Order);
        // A node's creation changes its parent. In a checkpoint the parent comes first, with a generation that may be later.
        return node.WithAddedChild(name, leaf, Math.Max(node.Generation, put.Order));
    }

    private static StoreNode Remove(StoreNode node, string path, int start, ulong generation)
    {
        string name = NextSegment(path, ref start);
        return start >= path.Length
            ? node.WithoutChild(name, generation)
            : node.WithReplacedChild(name, Remove(node.Children[name], path, start, generation));
    }

    private static ImmutableDictionary<DomainId, int> Count(ImmutableDictionary<DomainId, int> owned, StoreNode node, int change) =>
        Count(owned, node.Permissions[0].Domain, change);

    private static ImmutableDictionary<DomainId, int> Count(ImmutableDictionary<DomainId, int> owned, DomainId owner, int change)
    {
        int count = owned.GetValueOrDefault(owner) + change;
        return count == 0 ? owned.Remove(owner) : owned.SetItem(owner, count);
    }

    private static string NextSegment(string path, ref int start)
    {
        int end = path.IndexOf('/', start);
        if (end < 0)
        {
            end = path.Length;
        }

        string segment = path[start..end];
        start = end + 1;
        return segment;
    }
}
