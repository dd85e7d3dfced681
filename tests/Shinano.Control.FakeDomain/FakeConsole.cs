using System.Net.Sockets;
using System.Text;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.FakeDomain;

/// <summary>A console that keeps the contract of <see cref="ConsoleSpec"/> in the small: backlog, viewers, lines typed.</summary>
internal sealed class FakeConsole(ConsoleSpec spec) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Socket> _viewers = [];
    private readonly MemoryStream _backlog = new();
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public Action<string>? OnLine { get; set; }

    public void Listen()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(spec.SocketPath));
        _listener.Listen();
        _ = Task.Run(async () =>
        {
            while (true)
            {
                Socket viewer = await _listener.AcceptAsync();
                lock (_lock)
                {
                    viewer.Send(_backlog.ToArray());
                    _viewers.Add(viewer);
                }

                _ = Task.Run(() => ReadAsync(viewer));
            }
        });
    }

    public void Write(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        lock (_lock)
        {
            _backlog.Write(bytes);
            if (spec.LogPath is { } log)
            {
                File.AppendAllText(log, text);
            }

            foreach (Socket viewer in _viewers.ToArray())
            {
                try
                {
                    viewer.Send(bytes);
                }
                catch (SocketException)
                {
                    _viewers.Remove(viewer);
                }
            }
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        lock (_lock)
        {
            _viewers.ForEach(viewer => viewer.Dispose());
        }

        _backlog.Dispose();
        File.Delete(spec.SocketPath);
    }

    private async Task ReadAsync(Socket viewer)
    {
        StringBuilder line = new();
        byte[] buffer = new byte[256];
        while (true)
        {
            int length = await viewer.ReceiveAsync(buffer);
            if (length == 0)
            {
                return;
            }

            foreach (char c in Encoding.UTF8.GetString(buffer, 0, length))
            {
                if (c is '\r' or '\n')
                {
                    OnLine?.Invoke(line.ToString());
                    line.Clear();
                }
                else
                {
                    line.Append(c);
                }
            }
        }
    }
}
