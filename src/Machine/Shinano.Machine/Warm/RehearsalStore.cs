using System.Net.Sockets;
using System.Text;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine.Warm;

/// <summary>As much of a xenstore as a disk needs that comes up for a domain that nobody sees: nodes that can be read, and an OK for everything else.</summary>
internal sealed class RehearsalStore : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly IReadOnlyDictionary<string, string> _nodes;

    /// <summary>Listens as xend's relay socket does.</summary>
    /// <exception cref="SocketException">The path cannot be bound.</exception>
    public RehearsalStore(string socketPath, IReadOnlyDictionary<string, string> nodes)
    {
        _nodes = nodes;
        _listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        _listener.Listen(8);
        _ = AcceptAsync();
    }

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptAsync().ConfigureAwait(false);
                _ = Task.Run(() => ServeAsync(socket));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The rehearsal is over.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        using (socket)
        {
            try
            {
                byte[] buffer = new byte[XenStoreLimits.MaximumMessage];
                int filled = await socket.ReceiveAsync(buffer.AsMemory()).ConfigureAwait(false);
                if (!IsBackEnds(buffer.AsSpan(0, filled)))
                {
                    // The guest's own ring: it asks for nothing.
                    return;
                }

                await socket.SendAsync(RelayHelloAnswerCodec.ToBytes(RelayHelloAnswer.Accepted)).ConfigureAwait(false);
                PacketReader requests = new();
                while ((filled = await socket.ReceiveAsync(buffer.AsMemory()).ConfigureAwait(false)) > 0)
                {
                    foreach (XenStorePacket answer in Answer(requests, buffer.AsSpan(0, filled)))
                    {
                        await socket.SendAsync(answer.Message).ConfigureAwait(false);
                    }
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The domain is gone.
            }
        }
    }

    private static bool IsBackEnds(ReadOnlySpan<byte> hello) => BackEndHello.TryRead(ref hello, out _) == PacketReadStatus.Packet;

    private List<XenStorePacket> Answer(PacketReader requests, ReadOnlySpan<byte> input)
    {
        List<XenStorePacket> answers = [];
        while (requests.Read(ref input, out XenStorePacket? request) == PacketReadStatus.Packet)
        {
            PayloadReader payload = new(request!.Payload);
            payload.TryReadString(out string path);
            answers.Add(request.Operation != XenStoreOperation.Read ? Answer(request, "OK\0"u8)
                : _nodes.TryGetValue(path, out string? value) ? Answer(request, Encoding.UTF8.GetBytes(value))
                : XenStorePacket.CreateError(request.Header, XenStoreError.NotFound));
            if (request.Operation == XenStoreOperation.Watch)
            {
                // A watch fires when it is set.
                answers.Add(XenStorePacket.Create(XenStoreOperation.WatchEvent, 0, 0, request.Payload));
            }
        }

        return answers;
    }

    private static XenStorePacket Answer(XenStorePacket request, ReadOnlySpan<byte> payload) =>
        XenStorePacket.Create(request.Operation, request.Header.RequestId, request.Header.TransactionId, payload);
}
