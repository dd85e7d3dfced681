using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Requests;

/// <summary>From a message of a client to the answer. Whatever the bytes are, there is exactly one answer and no exception.</summary>
internal sealed class RequestDispatcher
{
    // A guest that finds an error of ours must not fill the log with it.
    private const int MaximumReports = 100;

    private static readonly byte[] Acknowledgement = "OK\0"u8.ToArray();

    private readonly StoreEngine engine;
    private readonly IRequestObserver observer;
    private readonly ControlRequests control;
    private readonly Action<string> report;
    private int reportsLeft = MaximumReports;

    internal RequestDispatcher(StoreEngine engine, IRequestObserver observer, Action<string> report)
    {
        this.report = report;
        this.engine = engine;
        this.observer = observer;
        Nodes = new NodeRequests(engine);
        Watches = new WatchRequests(engine);
        Domains = new DomainRequests(engine);
        control = new ControlRequests(engine, report);
    }

    internal StoreEngine Engine => engine;

    internal NodeRequests Nodes { get; }

    internal WatchRequests Watches { get; }

    internal DomainRequests Domains { get; }

    /// <summary>Carries out a request and hands the answer, and what watches it fires, to the sessions' sinks.</summary>
    /// <param name="from">Where the request came from.</param>
    /// <returns>
    /// False, and nothing done, when that is no longer the session's: another relay connection took its place, or the domain was released.
    /// </returns>
    internal bool TryHandle(StoreSession session, ISessionSink from, XenStorePacket request)
    {
        lock (engine.Gate)
        {
            if (!ReferenceEquals(session.Sink, from) || session.Scope?.IsCurrent(engine.State) == false)
            {
                return false;
            }

            XenStoreError error = HandleSafely(session, request, out byte[] payload, out Watch? added);
            if (error == XenStoreError.None && payload.Length > XenStoreLimits.MaximumPayload)
            {
                error = XenStoreError.TooBig;
            }

            XenStoreHeader header = request.Header;
            XenStorePacket reply = error == XenStoreError.None
                ? XenStorePacket.Create(header.Operation, header.RequestId, header.TransactionId, payload)
                : XenStorePacket.CreateError(header, error);
            if (session.ReplaysLeft > 0)
            {
                session.ReplaysLeft--;
            }

            from.Reply(reply);
            if (observer.IsActive)
            {
                observer.Observe(session, header.TransactionId, header.Operation, request.Payload, reply);
            }

            if (error == XenStoreError.None && added is not null)
            {
                WatchRequests.FireInitially(added);
            }

            return true;
        }
    }

    // The one boundary where the unexpected is caught: it costs this request, not the connection, or a relay would send it for ever.
    private XenStoreError HandleSafely(StoreSession session, XenStorePacket request, out byte[] payload, out Watch? added)
    {
        try
        {
            return Handle(session, request, out payload, out added);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            if (reportsLeft > 0)
            {
                reportsLeft--;
                report($"{request.Operation.ToWireName()} of domain {session.Domain.Value} failed through an error of ours: {failure}");
            }

            payload = [];
            added = null;
            return XenStoreError.InputOutput;
        }
    }

    private XenStoreError Handle(StoreSession session, XenStorePacket request, out byte[] payload, out Watch? added)
    {
        payload = Acknowledgement;
        added = null;
        XenStoreOperation operation = request.Operation;
        if (!session.IsPrivileged && IsForDomainZero(operation))
        {
            return XenStoreError.AccessDenied;
        }

        if (session.Scope?.Check(engine, request) is { } denied and not XenStoreError.None)
        {
            return denied;
        }

        if (session.Scope is not null && operation == XenStoreOperation.Watch && session.Watches.Count >= engine.State.Quotas.Watches)
        {
            return XenStoreError.TooBig;
        }

        // Watches are never part of a transaction: docs/misc/xenstore.txt: "The tx_id in a WATCH request is ignored".
        StoreTransaction? transaction = null;
        uint id = request.Header.TransactionId;
        if (id != 0
            && operation is not (XenStoreOperation.Watch or XenStoreOperation.Unwatch)
            && !session.Transactions.TryGetValue(id, out transaction))
        {
            return IsKnown(operation) ? XenStoreError.NotFound : XenStoreError.NotSupported;
        }

        var reader = new PayloadReader(request.Payload);
        switch (operation)
        {
            case XenStoreOperation.Read:
                return Read(session, transaction, ref reader, out payload);
            case XenStoreOperation.Directory or XenStoreOperation.GetPermissions:
                return Inspect(session, transaction, operation, ref reader, out payload);
            case XenStoreOperation.DirectoryPart:
                return DirectoryPart(session, transaction, request.Payload, out payload);
            case XenStoreOperation.Write:
                return reader.TryReadString(out string target)
                    ? Nodes.Write(session, transaction, target, request.PayloadMemory[(target.Length + 1)..])
                    : XenStoreError.Invalid;
            case XenStoreOperation.MakeDirectory:
                return reader.TryReadOnlyString(out target)
                    ? Nodes.MakeDirectory(session, transaction, target)
                    : XenStoreError.Invalid;
            case XenStoreOperation.Remove:
                return reader.TryReadOnlyString(out target)
                    ? Nodes.Remove(session, transaction, target)
                    : XenStoreError.Invalid;
            case XenStoreOperation.SetPermissions:
                return SetPermissions(session, transaction, request.Payload);
            case XenStoreOperation.Watch:
                return reader.TryReadString(out target) && reader.TryReadOnlyString(out string token)
                    ? Watches.Add(session, target, token, out added)
                    : XenStoreError.Invalid;
            case XenStoreOperation.Unwatch:
                return reader.TryReadString(out target) && reader.TryReadOnlyString(out token)
                    ? Watches.Remove(session, target, token)
                    : XenStoreError.Invalid;
            case XenStoreOperation.ResetWatches:
                return Watches.Reset(session);
            case XenStoreOperation.TransactionStart:
                return StartTransaction(session, transaction, out payload);
            case XenStoreOperation.TransactionEnd:
                return EndTransaction(session, id, transaction, ref reader);
            case XenStoreOperation.Control:
                return control.Handle(PayloadReader.ReadAll(request.Payload), ref payload);
            default:
                return IsKnown(operation) && IsAboutDomain(operation)
                    ? HandleDomain(operation, request.Payload, ref payload)
                    : XenStoreError.NotSupported;
        }
    }

    private XenStoreError Read(StoreSession session, StoreTransaction? transaction, ref PayloadReader reader, out byte[] payload)
    {
        payload = [];
        if (!reader.TryReadOnlyString(out string path))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = Nodes.Read(session, transaction, path, out ReadOnlyMemory<byte> value);
        payload = value.ToArray();
        return error;
    }

    private XenStoreError Inspect(
        StoreSession session, StoreTransaction? transaction, XenStoreOperation operation, ref PayloadReader reader, out byte[] payload)
    {
        payload = [];
        if (!reader.TryReadOnlyString(out string path))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = Nodes.Inspect(session, transaction, path, out StoreNode? node);
        if (node is not null)
        {
            payload = operation == XenStoreOperation.Directory
                ? node.ChildList
                : PayloadWriter.Strings([.. node.Permissions.Select(permission => permission.ToString())]);
        }

        return error;
    }

    private XenStoreError DirectoryPart(
        StoreSession session, StoreTransaction? transaction, ReadOnlySpan<byte> request, out byte[] payload)
    {
        payload = [];
        List<string> arguments = PayloadReader.ReadAll(request);
        if (arguments.Count != 2
            || !uint.TryParse(arguments[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint offset))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = Nodes.Inspect(session, transaction, arguments[0], out StoreNode? node);
        if (node is null)
        {
            return error;
        }

        byte[] generation = Encoding.ASCII.GetBytes(node.Generation.ToString(CultureInfo.InvariantCulture) + "\0");
        ReadOnlySpan<byte> list = node.ChildList;
        ReadOnlySpan<byte> rest = offset < list.Length ? list[(int)offset..] : [];

        // Whole names only, and at the end of the list one empty name, for which a byte is kept free.
        int room = XenStoreLimits.MaximumPayload - generation.Length - 1;
        bool isLast = rest.Length <= room;
        ReadOnlySpan<byte> part = isLast ? rest : rest[..(rest[..room].LastIndexOf((byte)0) + 1)];
        payload = [.. generation, .. part, .. isLast ? (ReadOnlySpan<byte>)[0] : []];
        return XenStoreError.None;
    }

    private XenStoreError SetPermissions(StoreSession session, StoreTransaction? transaction, ReadOnlySpan<byte> request)
    {
        List<string> arguments = PayloadReader.ReadAll(request);
        if (arguments.Count < 2)
        {
            return XenStoreError.Invalid;
        }

        ImmutableArray<NodePermission>.Builder permissions = ImmutableArray.CreateBuilder<NodePermission>(arguments.Count - 1);
        foreach (string text in arguments.Skip(1))
        {
            if (!NodePermission.TryParse(text, out NodePermission permission))
            {
                return XenStoreError.Invalid;
            }

            permissions.Add(permission);
        }

        return Nodes.SetPermissions(session, transaction, arguments[0], permissions.ToImmutable());
    }

    private XenStoreError StartTransaction(StoreSession session, StoreTransaction? current, out byte[] payload)
    {
        payload = [];
        if (current is not null)
        {
            return XenStoreError.Busy;
        }

        // Xen 4.17: transaction_started > quota, so one more than the number is possible.
        if (!session.IsPrivileged && session.Transactions.Count > engine.State.Quotas.Transactions)
        {
            return XenStoreError.NoSpace;
        }

        uint id = session.AllocateTransactionId();
        session.Transactions.Add(id, new StoreTransaction(isDoomed: false));
        payload = PayloadWriter.Strings(id.ToString(CultureInfo.InvariantCulture));
        return XenStoreError.None;
    }

    private XenStoreError EndTransaction(StoreSession session, uint id, StoreTransaction? transaction, ref PayloadReader reader)
    {
        if (!reader.TryReadOnlyString(out string verdict) || verdict is not ("T" or "F"))
        {
            return XenStoreError.Invalid;
        }

        if (transaction is null)
        {
            return XenStoreError.NotFound;
        }

        session.Transactions.Remove(id);
        return verdict == "T" ? engine.Commit(session, transaction) : XenStoreError.None;
    }

    private XenStoreError HandleDomain(XenStoreOperation operation, ReadOnlySpan<byte> request, ref byte[] payload)
    {
        List<string> arguments = PayloadReader.ReadAll(request);
        if (arguments.Count == 0 || !TryParseDomain(arguments[0], out DomainId domain))
        {
            return XenStoreError.Invalid;
        }

        switch (operation)
        {
            case XenStoreOperation.Introduce:
                return arguments.Count >= 3
                    && long.TryParse(arguments[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long frame)
                    && uint.TryParse(arguments[2], NumberStyles.None, CultureInfo.InvariantCulture, out uint port)
                        ? Domains.Introduce(domain, (ulong)frame, port)
                        : XenStoreError.Invalid;
            case XenStoreOperation.Release:
                return Domains.Release(domain);
            case XenStoreOperation.Resume:
                return Domains.Resume(domain);
            case XenStoreOperation.SetTarget:
                return arguments.Count >= 2 && TryParseDomain(arguments[1], out DomainId target)
                    ? Domains.SetTarget(domain, target)
                    : XenStoreError.Invalid;
            case XenStoreOperation.IsDomainIntroduced:
                payload = PayloadWriter.Strings(Domains.IsIntroduced(domain) ? "T" : "F");
                return XenStoreError.None;
            default:
                payload = PayloadWriter.Strings(XenStorePath.DomainHome(domain));
                return XenStoreError.None;
        }
    }

    private static bool TryParseDomain(string text, out DomainId domain)
    {
        bool isNumber = ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number);
        domain = new DomainId(number);
        return isNumber;
    }

    private static bool IsForDomainZero(XenStoreOperation operation) => operation
        is XenStoreOperation.Control
        or XenStoreOperation.Introduce
        or XenStoreOperation.Release
        or XenStoreOperation.Resume
        or XenStoreOperation.SetTarget
        or XenStoreOperation.IsDomainIntroduced;

    private static bool IsAboutDomain(XenStoreOperation operation) =>
        operation == XenStoreOperation.GetDomainPath || IsForDomainZero(operation);

    private static bool IsKnown(XenStoreOperation operation) =>
        Enum.IsDefined(operation) && operation is not (XenStoreOperation.WatchEvent or XenStoreOperation.Error);
}
