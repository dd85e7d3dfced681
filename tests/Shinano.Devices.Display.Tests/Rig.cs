using System.Net.Sockets;
using Shinano.Devices.Display.Surface;
using Shinano.Rfb;

namespace Shinano.Devices.Display.Tests;

/// <summary>A surface, its server, and viewers over socket pairs of this process.</summary>
internal sealed class Rig : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _sessions = [];

    public Rig(SurfaceMode mode, Func<DisplayOptions, DisplayOptions>? change = null)
    {
        Surface = new MemorySurface(mode);
        DisplayOptions options = new() { Name = "test", UpdateInterval = TimeSpan.Zero, Log = line => { lock (Log) { Log.Add(line); } } };
        Server = new DisplayServer(Surface, Input, change?.Invoke(options) ?? options);
    }

    public static CancellationToken Token => TestContext.Current.CancellationToken;

    public MemorySurface Surface { get; }

    public RecordedInput Input { get; } = new();

    public DisplayServer Server { get; }

    public List<string> Log { get; } = [];

    /// <summary>The viewer's end of a new connection, and the session that serves the other.</summary>
    public (Stream Viewer, Task Session) Open()
    {
        (Socket ours, Socket theirs) = Pair();
        Task session = Server.ServeAsync(new NetworkStream(theirs, ownsSocket: true), _stop.Token);
        _sessions.Add(session);
        return (new NetworkStream(ours, ownsSocket: true), session);
    }

    public async Task<RfbViewer> ConnectAsync(string version = "003.008")
    {
        RfbViewer viewer = new(Open().Viewer);
        Assert.Null(await viewer.ConnectAsync(version, null, Token));
        return viewer;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_sessions);
        Server.Dispose();
        _stop.Dispose();
    }

    private static (Socket, Socket) Pair()
    {
        string path = Path.Combine(Path.GetTempPath(), $"rfb{Guid.NewGuid():N}");
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(path));
        Socket server = listener.Accept();
        File.Delete(path);
        return (client, server);
    }
}
