using System.Collections.Immutable;
using System.Text;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server;

/// <summary>The nodes as the hosting daemon sees them, in the store or in one transaction.</summary>
internal sealed class LocalNodes(
    RequestDispatcher dispatcher, IRequestObserver observer, StoreSession session, StoreTransaction? transaction, uint transactionId)
    : IXenStoreNodes
{
    public byte[]? TryRead(string path)
    {
        ReadOnlyMemory<byte> value = default;
        bool exists = TryDo(
            XenStoreOperation.Read,
            path,
            () => dispatcher.Nodes.Read(session, transaction, path, out value),
            () => value.ToArray());
        return exists ? value.ToArray() : null;
    }

    public string? TryReadString(string path) => TryRead(path) is { } value ? Encoding.UTF8.GetString(value) : null;

    public void Write(string path, ReadOnlySpan<byte> value)
    {
        byte[] copy = value.ToArray();
        if (path.Length + 1 + copy.Length > XenStoreLimits.MaximumPayload)
        {
            // What no client could write, no client could read.
            throw new XenStoreException(XenStoreError.TooBig, $"XS_WRITE {path}");
        }

        Do(XenStoreOperation.Write, path, () => dispatcher.Nodes.Write(session, transaction, path, copy), copy);
    }

    public void Write(string path, string value) => Write(path, Encoding.UTF8.GetBytes(value).AsSpan());

    public void Write(string path, string value, params NodePermission[] permissions)
    {
        Write(path, value);
        SetPermissions(path, permissions);
    }

    public void MakeDirectory(string path) =>
        Do(XenStoreOperation.MakeDirectory, path, () => dispatcher.Nodes.MakeDirectory(session, transaction, path));

    public void Remove(string path) =>
        TryDo(XenStoreOperation.Remove, path, () => dispatcher.Nodes.Remove(session, transaction, path), () => []);

    public IReadOnlyList<string>? TryList(string path)
    {
        StoreNode? node = null;
        TryDo(
            XenStoreOperation.Directory,
            path,
            () => dispatcher.Nodes.Inspect(session, transaction, path, out node),
            () => node!.ChildList);
        return node is null ? null : PayloadReader.ReadAll(node.ChildList);
    }

    public IReadOnlyList<NodePermission>? TryGetPermissions(string path)
    {
        StoreNode? node = null;
        TryDo(
            XenStoreOperation.GetPermissions,
            path,
            () => dispatcher.Nodes.Inspect(session, transaction, path, out node),
            () => PayloadWriter.Strings([.. node!.Permissions.Select(permission => permission.ToString())]));
        return node?.Permissions;
    }

    public void SetPermissions(string path, params NodePermission[] permissions)
    {
        ImmutableArray<NodePermission> list = [.. permissions];
        Do(
            XenStoreOperation.SetPermissions,
            path,
            () => dispatcher.Nodes.SetPermissions(session, transaction, path, list),
            PayloadWriter.Strings([.. list.Select(permission => permission.ToString())]));
    }

    /// <summary>Does something that must succeed.</summary>
    internal void Do(XenStoreOperation operation, string subject, Func<XenStoreError> request, ReadOnlySpan<byte> argument = default)
    {
        lock (dispatcher.Engine.Gate)
        {
            Check(operation, subject, argument, request(), "OK\0"u8);
        }
    }

    // False when there is no such node.
    private bool TryDo(XenStoreOperation operation, string path, Func<XenStoreError> request, Func<byte[]> result)
    {
        lock (dispatcher.Engine.Gate)
        {
            XenStoreError error = request();
            byte[] reply = error == XenStoreError.None ? result() : [];
            if (error == XenStoreError.NotFound)
            {
                Observe(operation, path, [], error, reply);
                return false;
            }

            Check(operation, path, [], error, reply);
            return true;
        }
    }

    private void Check(
        XenStoreOperation operation, string subject, ReadOnlySpan<byte> argument, XenStoreError error, ReadOnlySpan<byte> reply)
    {
        Observe(operation, subject, argument, error, reply);
        if (error != XenStoreError.None)
        {
            throw new XenStoreException(error, $"{operation.ToWireName()} {subject}");
        }
    }

    private void Observe(
        XenStoreOperation operation, string subject, ReadOnlySpan<byte> argument, XenStoreError error, ReadOnlySpan<byte> reply)
    {
        if (!observer.IsActive)
        {
            return;
        }

        var header = new XenStoreHeader(operation, 0, transactionId, 0);
        XenStorePacket answer = error == XenStoreError.None
            ? XenStorePacket.Create(operation, 0, transactionId, reply[..Math.Min(reply.Length, XenStoreLimits.MaximumPayload)])
            : XenStorePacket.CreateError(header, error);
        byte[] request = argument.IsEmpty ? PayloadWriter.Strings(subject) : PayloadWriter.StringAndValue(subject, argument);
        observer.Observe(session, transactionId, operation, request, answer);
    }
}
