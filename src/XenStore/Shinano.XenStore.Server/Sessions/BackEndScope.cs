using System.Globalization;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// What the back ends of one domain process may do, as domain 0 but to nobody else's nodes. A process that a guest has taken over has this and the guest's
/// own rights.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>Reads and watches: <c>/local/domain/0/backend/KIND/N</c> and below, <c>/local/domain/N/device</c> and below.</item>
/// <item>Writes and removals: below <c>/local/domain/0/backend/KIND/N/DEVICE</c>, which xend must have made; so many nodes and bytes at most.</item>
/// <item>Nothing else: no permissions, no transactions, no requests about domains.</item>
/// </list>
/// </remarks>
internal sealed class BackEndScope(DomainId domain, DomainRecord record)
{
    /// <summary>Nodes below one device's back-end directory, at most.</summary>
    internal const int MaximumNodes = 256;

    /// <summary>Connections of one domain's back ends at a time, at most.</summary>
    internal const int MaximumConnections = 4;

    private const string BackEnds = "/local/domain/0/backend/";

    private readonly string _number = domain.Value.ToString(CultureInfo.InvariantCulture);
    private readonly string _devices = XenStorePath.DomainHome(domain) + "/device";

    internal DomainId Domain => domain;

    /// <summary>The domain was not released, nor its number given to another, since the connection was made.</summary>
    internal bool IsCurrent(StoreState state) => ReferenceEquals(state.FindDomain(domain), record);

    /// <summary>Says whether a request may go on; its other checks follow.</summary>
    internal XenStoreError Check(StoreEngine engine, XenStorePacket request)
    {
        PayloadReader reader = new(request.Payload);
        if (request.Header.TransactionId != 0 || !reader.TryReadString(out string given))
        {
            return XenStoreError.AccessDenied;
        }

        string path = XenStorePath.Resolve(given, DomainId.Zero);
        return request.Operation switch
        {
            XenStoreOperation.Read or XenStoreOperation.Directory or XenStoreOperation.DirectoryPart
                or XenStoreOperation.Watch or XenStoreOperation.Unwatch => MayRead(path) ? XenStoreError.None : XenStoreError.AccessDenied,
            XenStoreOperation.Write => CheckWrite(engine, path, request.Payload.Length - given.Length - 1),
            XenStoreOperation.Remove => FindDevice(engine, path) is null ? XenStoreError.AccessDenied : XenStoreError.None,
            _ => XenStoreError.AccessDenied,
        };
    }

    private static bool IsAtOrBelow(string path, string top) =>
        path.StartsWith(top, StringComparison.Ordinal) && (path.Length == top.Length || path[top.Length] == '/');

    private bool MayRead(string path) => IsAtOrBelow(path, _devices) || TryFindKind(path, out string? own) && IsAtOrBelow(path, own);

    private XenStoreError CheckWrite(StoreEngine engine, string path, int length)
    {
        if (FindDevice(engine, path) is not { } device)
        {
            return XenStoreError.AccessDenied;
        }

        if (length > engine.State.Quotas.NodeSize)
        {
            return XenStoreError.NoSpace;
        }

        // What is missing above the node is made with it; the path's length bounds that.
        bool isNew = engine.State.Tree.Find(path) is null;
        return isNew && StoreTree.Walk(device.Path, device.Node).Count() + path.Count(c => c == '/') > MaximumNodes
            ? XenStoreError.NoSpace
            : XenStoreError.None;
    }

    /// <summary>The device's own directory that a path lies below; null when it lies below none that is there.</summary>
    private (string Path, StoreNode Node)? FindDevice(StoreEngine engine, string path)
    {
        if (!TryFindKind(path, out string? own) || !path.StartsWith(own + "/", StringComparison.Ordinal))
        {
            return null;
        }

        int end = path.IndexOf('/', own.Length + 1);
        return end > own.Length + 1 && end < path.Length - 1 && engine.State.Tree.Find(path[..end]) is { } node ? (path[..end], node) : null;
    }

    /// <summary>BACKENDS/KIND/N of a path that starts so.</summary>
    private bool TryFindKind(string path, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? own)
    {
        own = null;
        int slash = path.StartsWith(BackEnds, StringComparison.Ordinal) ? path.IndexOf('/', BackEnds.Length) : -1;
        if (slash <= BackEnds.Length)
        {
            return false;
        }

        own = string.Concat(path.AsSpan(0, slash + 1), _number);
        return IsAtOrBelow(path, own);
    }
}
