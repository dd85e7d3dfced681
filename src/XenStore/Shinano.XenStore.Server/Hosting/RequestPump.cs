using System.Net.Sockets;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>Reads requests from a connection and has them carried out, until the peer ends or breaks the protocol.</summary>
internal static class RequestPump
{
    private const int BufferSize = 16 * 1024;

    /// <param name="initial">Bytes that were read with what came before the first request.</param>
    internal static async Task RunAsync(
        Socket socket,
        StoreSession session,
        OutgoingQueue outgoing,
        RequestDispatcher dispatcher,
        ReadOnlyMemory<byte> initial,
        CancellationToken cancellation)
    {
        var reader = new PacketReader();
        byte[] buffer = new byte[BufferSize];
        ReadOnlyMemory<byte> input = initial;
        while (true)
        {
            while (!input.IsEmpty)
            {
                await outgoing.WaitForRoomAsync().ConfigureAwait(false);
                if (!TryHandleOne(ref input, reader, session, outgoing, dispatcher))
                {
                    return;
                }
            }

            await outgoing.FlushAsync().ConfigureAwait(false);
            int count = await socket.ReceiveAsync(buffer, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            input = buffer.AsMemory(0, count);
        }
    }

    private static bool TryHandleOne(
        ref ReadOnlyMemory<byte> input, PacketReader reader, StoreSession session, OutgoingQueue outgoing, RequestDispatcher dispatcher)
    {
        ReadOnlySpan<byte> rest = input.Span;
        PacketReadStatus status = reader.Read(ref rest, out XenStorePacket? request);
        input = input[^rest.Length..];
        switch (status)
        {
            case PacketReadStatus.Packet:
                return dispatcher.TryHandle(session, outgoing, request!);
            case PacketReadStatus.NeedMore:
                return true;
            default:
                return false;
        }
    }
}
