using System.Threading.Channels;

namespace Shinano.XenStore.Server;

/// <summary>A watch of the hosting daemon. Ends with <see cref="Dispose"/>.</summary>
public sealed class StoreWatch : IDisposable
{
    private readonly Channel<string> events = Channel.CreateUnbounded<string>();
    private readonly LocalStore store;

    internal StoreWatch(LocalStore store, string path, string token)
    {
        this.store = store;
        Path = path;
        Token = token;
    }

    /// <summary>What is watched: a node and all below it, or a special watch.</summary>
    public string Path { get; }

    /// <summary>
    /// The changed paths, the first right after the watch was set, with the path itself. Unbounded: read it. Completes when the
    /// watch is disposed.
    /// </summary>
    public ChannelReader<string> Events => events.Reader;

    internal string Token { get; }

    public void Dispose()
    {
        store.Remove(this);
        events.Writer.TryComplete();
    }

    internal void Fired(string path) => events.Writer.TryWrite(path);
}
