using System.Threading.Channels;

namespace Shinano.XenStore.Server;

/// <summary>A watch of the hosting daemon. Ends with <see cref="Dispose"/>.</summary>
public sealed class StoreWatch : IDisposable
{
    private readonly StoreWatchQueue events;
    private readonly LocalStore store;

    internal StoreWatch(LocalStore store, string path, string token)
    {
        this.store = store;
        events = new StoreWatchQueue(path);
        Path = path;
        Token = token;
    }

    /// <summary>What is watched: a node and all below it, or a special watch.</summary>
    public string Path { get; }

    /// <summary>
    /// The changed paths; the first comes right after the watch was set, with the watched path itself. Waiting paths are kept once each,
    /// and above some thousands one event with the watched path takes their place: look at all of it then. Ends when the watch is
    /// disposed.
    /// </summary>
    public ChannelReader<string> Events => events;

    internal string Token { get; }

    public void Dispose()
    {
        store.Remove(this);
        events.Complete();
    }

    internal void Fired(string path) => events.Add(path);
}
