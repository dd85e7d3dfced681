using System.Net.Sockets;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Migration;

/// <summary>A socket in a domain's directory to which its domain process connects once, to send or to receive a domain.</summary>
internal sealed class StateSocket : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <summary>Listens; the directory is our user's alone.</summary>
    /// <exception cref="IOException">The path cannot be bound.</exception>
    public StateSocket(string path)
    {
        Path = path;
        try
        {
            File.Delete(ShinanoPaths.PrepareSocketPath(path));
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            _listener.Listen(1);
        }
        catch (SocketException e)
        {
            _listener.Dispose();
            throw new IOException($"{path}: {e.Message}", e);
        }
    }

    public string Path { get; }

    /// <summary>Waits for the process, or for the end of the call that has it connect, which throws its failure.</summary>
    public async Task<NetworkStream> AcceptAsync(Task call)
    {
        using CancellationTokenSource end = new();
        Task<Socket> accepted = _listener.AcceptAsync(end.Token).AsTask();
        if (await Task.WhenAny(accepted, call) == call)
        {
            await call;
        }

        return new NetworkStream(await accepted, ownsSocket: true);
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(Path);
    }
}
