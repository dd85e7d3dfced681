using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>
/// Sends each request and its answer as a line of text to those who listen at the snoop socket. Who does not keep up loses lines and is
/// told how many; the store never waits for a listener.
/// </summary>
internal sealed class SnoopHub : IRequestObserver
{
    private const int MaximumPendingLines = 8192;

    private readonly Lock gate = new();
    private readonly List<Listener> listeners = [];
    private volatile bool isActive;

    /// <inheritdoc/>
    public bool IsActive => isActive;

    /// <inheritdoc/>
    public void Observe(
        StoreSession session, uint transactionId, XenStoreOperation operation, ReadOnlySpan<byte> request, XenStorePacket reply)
    {
        string line = Format(session, transactionId, operation, request, reply);
        lock (gate)
        {
            foreach (Listener listener in listeners)
            {
                if (!listener.Lines.Writer.TryWrite(line))
                {
                    listener.Lost++;
                }
            }
        }
    }

    internal async Task ServeAsync(Socket socket, CancellationToken cancellation)
    {
        var listener = new Listener();
        lock (gate)
        {
            listeners.Add(listener);
            isActive = true;
        }

        try
        {
            Task<int> ended = socket.ReceiveAsync(new byte[1], cancellation).AsTask();
            var text = new StringBuilder();
            while (!ended.IsCompleted)
            {
                Task<bool> more = listener.Lines.Reader.WaitToReadAsync(cancellation).AsTask();
                await Task.WhenAny(more, ended).ConfigureAwait(false);
                text.Clear();
                while (text.Length < 64 * 1024 && listener.Lines.Reader.TryRead(out string? line))
                {
                    text.Append(line).Append('\n');
                }

                long lost = Interlocked.Exchange(ref listener.Lost, 0);
                if (lost > 0)
                {
                    text.Append(CultureInfo.InvariantCulture, $"# {lost} lines lost\n");
                }

                ReadOnlyMemory<byte> bytes = Encoding.Latin1.GetBytes(text.ToString());
                while (!bytes.IsEmpty)
                {
                    bytes = bytes[await socket.SendAsync(bytes, cancellation).ConfigureAwait(false)..];
                }
            }
        }
        finally
        {
            lock (gate)
            {
                listeners.Remove(listener);
                isActive = listeners.Count > 0;
            }
        }
    }

    /// <summary>
    /// One line in the classic form, in the columns of <c>DOM  PID      TX     OP</c>:
    /// <c>0    582      5132   XS_READ: /local/domain/24/console/port -> 3</c>.
    /// </summary>
    internal static string Format(
        StoreSession session, uint transactionId, XenStoreOperation operation, ReadOnlySpan<byte> request, XenStorePacket reply) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{session.Domain.Value,-4} {session.ProcessId,-8} {transactionId,-6} "
            + $"{operation.ToWireName()}: {Show(request)} -> {Show(reply.Payload)}");

    // The strings of a payload with blanks between them; the last one's NUL is not shown.
    private static string Show(ReadOnlySpan<byte> payload)
    {
        if (payload.EndsWith((byte)0))
        {
            payload = payload[..^1];
        }

        var text = new StringBuilder();
        while (true)
        {
            int end = payload.IndexOf((byte)0);
            if (end < 0)
            {
                return text.Append(PrintableValue.Escape(payload)).ToString();
            }

            text.Append(PrintableValue.Escape(payload[..end])).Append(' ');
            payload = payload[(end + 1)..];
        }
    }

    private sealed class Listener
    {
        internal long Lost;

        internal Channel<string> Lines { get; } = Channel.CreateBounded<string>(MaximumPendingLines);
    }
}
