using System.Collections.Immutable;
using System.Text;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Tree;

/// <summary>One node of the store. Immutable: a change makes a new node and new ancestors, so a transaction's view costs nothing.</summary>
internal sealed class StoreNode
{
    // struct xs_tdb_record_hdr and struct xs_permissions of Xen 4.17's xenstored: the quota "node-size" counts them.
    private const int QuotaHeaderSize = 24;
    private const int QuotaPermissionSize = 8;

    private byte[]? childList;

    internal StoreNode(
        ReadOnlyMemory<byte> value,
        ImmutableArray<NodePermission> permissions,
        ImmutableSortedDictionary<string, StoreNode> children,
        int childNamesLength,
        ulong generation,
        ulong order)
    {
        Value = value;
        Permissions = permissions;
        Children = children;
        ChildNamesLength = childNamesLength;
        Generation = generation;
        Order = order;
    }

    internal static ImmutableSortedDictionary<string, StoreNode> NoChildren { get; } =
        ImmutableSortedDictionary.Create<string, StoreNode>(StringComparer.Ordinal);

    internal ReadOnlyMemory<byte> Value { get; }

    /// <summary>Never empty; the first entry names the owner.</summary>
    internal ImmutableArray<NodePermission> Permissions { get; }

    internal ImmutableSortedDictionary<string, StoreNode> Children { get; }

    /// <summary>Bytes of all children's names, each with its NUL: the length of a DIRECTORY reply.</summary>
    internal int ChildNamesLength { get; }

    /// <summary>Changes with the value, the permissions and the set of children; never used twice in one store.</summary>
    internal ulong Generation { get; }

    /// <summary>The generation at which the node was created: children are listed in this order, as xenstored does.</summary>
    internal ulong Order { get; }

    /// <summary>The payload of a DIRECTORY reply, however long.</summary>
    internal byte[] ChildList => childList ??= BuildChildList();

    internal IEnumerable<KeyValuePair<string, StoreNode>> ChildrenInOrder => Children.OrderBy(child => child.Value.Order);

    /// <summary>What the quota "node-size" is compared with, in bytes.</summary>
    internal static int QuotaSize(int permissionCount, int valueLength, int childNamesLength) =>
        QuotaHeaderSize + (QuotaPermissionSize * permissionCount) + valueLength + childNamesLength;

    internal StoreNode WithContent(
        ReadOnlyMemory<byte> value, ImmutableArray<NodePermission> permissions, ulong generation, ulong order) =>
        new(value, permissions, Children, ChildNamesLength, generation, order);

    /// <summary>Replaces a child that is there; its parent's own generation stays.</summary>
    internal StoreNode WithReplacedChild(string name, StoreNode child) =>
        new(Value, Permissions, Children.SetItem(name, child), ChildNamesLength, Generation, Order);

    internal StoreNode WithAddedChild(string name, StoreNode child, ulong generation) =>
        new(Value, Permissions, Children.Add(name, child), ChildNamesLength + name.Length + 1, generation, Order);

    internal StoreNode WithoutChild(string name, ulong generation) =>
        new(Value, Permissions, Children.Remove(name), ChildNamesLength - name.Length - 1, generation, Order);

    private byte[] BuildChildList()
    {
        byte[] list = new byte[ChildNamesLength];
        int position = 0;
        foreach ((string name, _) in ChildrenInOrder)
        {
            position += Encoding.Latin1.GetBytes(name, list.AsSpan(position)) + 1;
        }

        return list;
    }
}
