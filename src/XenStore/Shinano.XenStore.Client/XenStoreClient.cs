using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Shinano.Linux;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Client;

/// <summary>
/// A connection to a xenstore socket. Thread-safe: requests of several threads share the connection. A refused request throws
/// <see cref="XenStoreException"/>; a lost connection throws <see cref="IOException"/> from all that wait.
/// </summary>
public sealed class XenStoreClient : IAsyncDisposable
{
    private readonly Socket socket;
    private readonly Lock gate = new();
    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly Dictionary<uint, TaskCompletionSource<XenStorePacket>> waiting = [];
    private readonly Channel<WatchEvent> events = Channel.CreateUnbounded<WatchEvent>();
    private readonly Task receiving;
    private uint lastRequest;
    private IOException? broken;

    private XenStoreClient(Socket socket)
    {
        this.socket = socket;
        receiving = Task.Run(ReceiveAsync);
    }

    /// <summary>All watch events of this connection. Unbounded: read it if watches are set. Completes when the connection ends.</summary>
    public ChannelReader<WatchEvent> Events => events.Reader;

    /// <summary>Connects to the socket that <see cref="ShinanoPaths.XenStoreSocket"/> names.</summary>
    public static Task<XenStoreClient> ConnectAsync(CancellationToken cancellation = default) =>
        ConnectAsync(ShinanoPaths.Current.XenStoreSocket, cancellation);

    /// <exception cref="IOException">Nobody listens there.</exception>
    public static Task<XenStoreClient> ConnectAsync(string socketPath, CancellationToken cancellation = default) =>
        OpenAsync(socketPath, _ => Task.CompletedTask, cancellation);

    /// <summary>Connects the back ends of a domain process to xend's relay socket, with a back end's rights on the nodes of its own domain.</summary>
    /// <param name="socketPath"><see cref="ShinanoPaths.XenStoreRelaySocket"/> of the xend that introduced the domain.</param>
    /// <param name="domain">Whose devices the back ends serve.</param>
    /// <param name="token">What xend gave this process to show.</param>
    /// <exception cref="IOException">Nobody listens there, or xend does not know the domain (yet).</exception>
    public static Task<XenStoreClient> ConnectBackEndAsync(
        string socketPath, DomainId domain, RelayToken token, CancellationToken cancellation = default) =>
        OpenAsync(
            socketPath,
            async socket =>
            {
                RelayHelloAnswer? answer = await RelaySocket.AskAsync(socket, new BackEndHello(domain, token).ToBytes(), cancellation).ConfigureAwait(false);
                if (answer != RelayHelloAnswer.Accepted)
                {
                    throw new IOException(
                        $"xenstore at '{socketPath}' refused the back ends of domain {domain.Value}: {answer ?? RelayHelloAnswer.Malformed}");
                }
            },
            cancellation);

    /// <summary>Connects, and has the connection introduced before the first request.</summary>
    private static async Task<XenStoreClient> OpenAsync(string socketPath, Func<Socket, Task> introduce, CancellationToken cancellation)
    {
        ShinanoPaths.CheckSocketPath(socketPath);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
            await introduce(socket).ConfigureAwait(false);
            return new XenStoreClient(socket);
        }
        catch (SocketException failure)
        {
            socket.Dispose();
            throw new IOException($"Cannot connect to xenstore at '{socketPath}': {Explain(socketPath, failure)}", failure);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Why a connection to a unix socket failed, for people: .NET calls a missing socket an address that cannot be assigned.</summary>
    public static string Explain(string socketPath, SocketException failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return failure.SocketErrorCode == SocketError.ConnectionRefused ? "nobody listens there. Is xend running?"
            : !File.Exists(socketPath) ? "there is no such socket. Is xend running?"
            : failure.Message;
    }

    /// <summary>Sends a request and waits for its answer.</summary>
    /// <param name="transaction">0, or an id that <see cref="StartTransactionAsync"/> gave.</param>
    /// <param name="subject">For the message of an exception.</param>
    /// <returns>The payload of the answer.</returns>
    public async Task<ReadOnlyMemory<byte>> RequestAsync(
        XenStoreOperation operation, uint transaction, ReadOnlyMemory<byte> payload, string subject, CancellationToken cancellation = default)
    {
        if (payload.Length > XenStoreLimits.MaximumPayload)
        {
            throw new XenStoreException(XenStoreError.TooBig, $"{operation.ToWireName()} {subject}");
        }

        var answer = new TaskCompletionSource<XenStorePacket>(TaskCreationOptions.RunContinuationsAsynchronously);
        uint request;
        lock (gate)
        {
            if (broken is not null)
            {
                throw new IOException(broken.Message, broken);
            }

            request = ++lastRequest;
            waiting.Add(request, answer);
        }

        XenStorePacket packet = XenStorePacket.Create(operation, request, transaction, payload.Span);
        await SendAsync(packet.Message).ConfigureAwait(false);
        XenStorePacket reply = await answer.Task.WaitAsync(cancellation).ConfigureAwait(false);
        if (reply.Operation == XenStoreOperation.Error)
        {
            new PayloadReader(reply.Payload).TryReadString(out string name);
            throw new XenStoreException(XenStoreErrorNames.FromWireName(name), $"{operation.ToWireName()} {subject}");
        }

        return reply.PayloadMemory;
    }

    public async Task<byte[]> ReadAsync(string path, uint transaction = 0, CancellationToken cancellation = default) =>
        (await RequestAsync(XenStoreOperation.Read, transaction, PayloadWriter.Strings(path), path, cancellation).ConfigureAwait(false))
        .ToArray();

    /// <summary>The value as text (UTF-8), or null if there is no such node.</summary>
    public async Task<string?> TryReadStringAsync(string path, uint transaction = 0, CancellationToken cancellation = default)
    {
        try
        {
            return Encoding.UTF8.GetString(await ReadAsync(path, transaction, cancellation).ConfigureAwait(false));
        }
        catch (XenStoreException refused) when (refused.Error == XenStoreError.NotFound)
        {
            return null;
        }
    }

    public Task WriteAsync(
        string path, ReadOnlyMemory<byte> value, uint transaction = 0, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.Write, transaction, PayloadWriter.StringAndValue(path, value.Span), path, cancellation);

    public Task WriteAsync(string path, string value, uint transaction = 0, CancellationToken cancellation = default) =>
        WriteAsync(path, Encoding.UTF8.GetBytes(value), transaction, cancellation);

    public Task MakeDirectoryAsync(string path, uint transaction = 0, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.MakeDirectory, transaction, PayloadWriter.Strings(path), path, cancellation);

    public Task RemoveAsync(string path, uint transaction = 0, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.Remove, transaction, PayloadWriter.Strings(path), path, cancellation);

    /// <summary>The names of the children, however many there are.</summary>
    public async Task<IReadOnlyList<string>> ListAsync(string path, uint transaction = 0, CancellationToken cancellation = default)
    {
        try
        {
            ReadOnlyMemory<byte> names = await RequestAsync(
                XenStoreOperation.Directory, transaction, PayloadWriter.Strings(path), path, cancellation).ConfigureAwait(false);
            return PayloadReader.ReadAll(names.Span);
        }
        catch (XenStoreException refused) when (refused.Error == XenStoreError.TooBig)
        {
            return await ListInPartsAsync(path, transaction, cancellation).ConfigureAwait(false);
        }
    }

    public async Task<IReadOnlyList<NodePermission>> GetPermissionsAsync(
        string path, uint transaction = 0, CancellationToken cancellation = default)
    {
        ReadOnlyMemory<byte> reply = await RequestAsync(
            XenStoreOperation.GetPermissions, transaction, PayloadWriter.Strings(path), path, cancellation).ConfigureAwait(false);
        var permissions = new List<NodePermission>();
        foreach (string text in PayloadReader.ReadAll(reply.Span))
        {
            if (!NodePermission.TryParse(text, out NodePermission permission))
            {
                throw new XenStoreException(XenStoreError.Invalid, $"the server's permission '{text}' of {path}");
            }

            permissions.Add(permission);
        }

        return permissions;
    }

    public Task SetPermissionsAsync(
        string path, IEnumerable<NodePermission> permissions, uint transaction = 0, CancellationToken cancellation = default) =>
        RequestAsync(
            XenStoreOperation.SetPermissions,
            transaction,
            PayloadWriter.Strings([path, .. permissions.Select(permission => permission.ToString())]),
            path,
            cancellation);

    /// <summary>Sets a watch; its events come through <see cref="Events"/>, the first at once.</summary>
    public Task WatchAsync(string path, string token, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.Watch, 0, PayloadWriter.Strings(path, token), path, cancellation);

    public Task UnwatchAsync(string path, string token, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.Unwatch, 0, PayloadWriter.Strings(path, token), path, cancellation);

    /// <summary>Starts a transaction and returns its id.</summary>
    public async Task<uint> StartTransactionAsync(CancellationToken cancellation = default)
    {
        ReadOnlyMemory<byte> reply = await RequestAsync(
            XenStoreOperation.TransactionStart, 0, PayloadWriter.Strings(""), "", cancellation).ConfigureAwait(false);
        new PayloadReader(reply.Span).TryReadString(out string id);
        return uint.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? number
            : throw new XenStoreException(XenStoreError.Invalid, $"the server's transaction id '{id}'");
    }

    /// <summary>Ends a transaction.</summary>
    /// <returns>False when it conflicted and must be run again.</returns>
    public async Task<bool> EndTransactionAsync(uint transaction, bool commit, CancellationToken cancellation = default)
    {
        try
        {
            await RequestAsync(
                XenStoreOperation.TransactionEnd, transaction, PayloadWriter.Strings(commit ? "T" : "F"), "", cancellation)
                .ConfigureAwait(false);
            return true;
        }
        catch (XenStoreException refused) when (refused.Error == XenStoreError.TryAgain)
        {
            return false;
        }
    }

    public Task IntroduceAsync(DomainId domain, ulong frame, uint port, CancellationToken cancellation = default) =>
        RequestAsync(
            XenStoreOperation.Introduce, 0, PayloadWriter.Strings(Show(domain.Value), Show(frame), Show(port)), Show(domain.Value), cancellation);

    public Task ReleaseAsync(DomainId domain, CancellationToken cancellation = default) =>
        RequestAsync(XenStoreOperation.Release, 0, PayloadWriter.Strings(Show(domain.Value)), Show(domain.Value), cancellation);

    public async Task<bool> IsIntroducedAsync(DomainId domain, CancellationToken cancellation = default)
    {
        ReadOnlyMemory<byte> reply = await RequestAsync(
            XenStoreOperation.IsDomainIntroduced, 0, PayloadWriter.Strings(Show(domain.Value)), Show(domain.Value), cancellation)
            .ConfigureAwait(false);
        return reply.Span.StartsWith("T"u8);
    }

    public async ValueTask DisposeAsync()
    {
        socket.Dispose();
        await receiving.ConfigureAwait(false);
        sending.Dispose();
    }

    private static string Show(ulong number) => number.ToString(CultureInfo.InvariantCulture);

    // docs/misc/xenstore.txt: DIRECTORY_PART. An empty name ends the list; another generation means to start again.
    private async Task<IReadOnlyList<string>> ListInPartsAsync(string path, uint transaction, CancellationToken cancellation)
    {
        while (true)
        {
            var names = new List<string>();
            string? generation = null;
            int offset = 0;
            while (true)
            {
                ReadOnlyMemory<byte> reply = await RequestAsync(
                    XenStoreOperation.DirectoryPart, transaction, PayloadWriter.Strings(path, Show((ulong)offset)), path, cancellation)
                    .ConfigureAwait(false);
                List<string> part = PayloadReader.ReadAll(reply.Span);
                if (part.Count < 2)
                {
                    throw new XenStoreException(XenStoreError.Invalid, $"the server's list of {path}");
                }

                generation ??= part[0];
                if (generation != part[0])
                {
                    break;
                }

                foreach (string name in part.Skip(1))
                {
                    if (name.Length == 0)
                    {
                        return names;
                    }

                    names.Add(name);
                    offset += name.Length + 1;
                }
            }
        }
    }

    private async Task SendAsync(ReadOnlyMemory<byte> message)
    {
        await sending.WaitAsync().ConfigureAwait(false);
        try
        {
            while (!message.IsEmpty)
            {
                message = message[await socket.SendAsync(message).ConfigureAwait(false)..];
            }
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            // A message that was sent in part leaves the stream out of step: nothing can follow it.
            socket.Dispose();
            throw new IOException($"The connection to xenstore is lost: {failure.Message}", failure);
        }
        finally
        {
            sending.Release();
        }
    }

    private async Task ReceiveAsync()
    {
        var reader = new PacketReader();
        byte[] buffer = new byte[16 * 1024];
        string reason = "The xenstore server ended the connection.";
        try
        {
            int count;
            while ((count = await socket.ReceiveAsync(buffer).ConfigureAwait(false)) > 0)
            {
                if (!TryDeliver(reader, buffer.AsSpan(0, count)))
                {
                    reason = "The xenstore server broke the protocol.";
                    break;
                }
            }
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            reason = $"The connection to xenstore is lost: {failure.Message}";
        }

        TaskCompletionSource<XenStorePacket>[] abandoned;
        lock (gate)
        {
            broken = new IOException(reason);
            abandoned = [.. waiting.Values];
            waiting.Clear();
        }

        events.Writer.TryComplete();
        foreach (TaskCompletionSource<XenStorePacket> answer in abandoned)
        {
            answer.TrySetException(new IOException(reason));
        }
    }

    private bool TryDeliver(PacketReader reader, ReadOnlySpan<byte> input)
    {
        while (true)
        {
            PacketReadStatus status = reader.Read(ref input, out XenStorePacket? packet);
            if (status != PacketReadStatus.Packet)
            {
                return status == PacketReadStatus.NeedMore;
            }

            if (packet!.Operation == XenStoreOperation.WatchEvent)
            {
                var strings = new PayloadReader(packet.Payload);
                if (strings.TryReadString(out string path) && strings.TryReadString(out string token))
                {
                    events.Writer.TryWrite(new WatchEvent(path, token));
                }

                continue;
            }

            TaskCompletionSource<XenStorePacket>? answer;
            lock (gate)
            {
                waiting.Remove(packet.Header.RequestId, out answer);
            }

            answer?.TrySetResult(packet);
        }
    }
}
