using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server;

/// <summary>
/// The nodes of the store for the daemon that hosts it, with the rights of domain 0: the whole store, or the view of a transaction.
/// Thread-safe; nothing waits but for the journal's write. Each member throws <see cref="XenStoreException"/> when refused.
/// </summary>
public interface IXenStoreNodes
{
    /// <summary>The value of a node, or null if there is no such node.</summary>
    byte[]? TryRead(string path);

    /// <summary>The value of a node as text (UTF-8), or null if there is no such node.</summary>
    string? TryReadString(string path);

    /// <summary>Sets a value; creates the node and what is missing above it.</summary>
    void Write(string path, ReadOnlySpan<byte> value);

    /// <summary>Sets a value to text (UTF-8).</summary>
    void Write(string path, string value);

    /// <summary>Sets a value and the permissions of the node, as two steps.</summary>
    void Write(string path, string value, params NodePermission[] permissions);

    /// <summary>Creates a node with an empty value; leaves an existing one as it is.</summary>
    void MakeDirectory(string path);

    /// <summary>Removes a node and all below it; does nothing if it is not there, even without a parent.</summary>
    void Remove(string path);

    /// <summary>The names of a node's children in the order of their creation; null if there is no such node.</summary>
    IReadOnlyList<string>? TryList(string path);

    /// <summary>The permissions of a node; null if there is no such node.</summary>
    IReadOnlyList<NodePermission>? TryGetPermissions(string path);

    /// <summary>Replaces the permissions of a node; the first entry names the owner. Also for the special watches.</summary>
    void SetPermissions(string path, params NodePermission[] permissions);
}
