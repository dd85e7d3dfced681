using Shinano.Network.Control;

namespace Shinano.Network.Switching;

/// <summary>What has passed a port, seen from the guest: it sends and receives. Thread-safe.</summary>
public sealed class PortCounters
{
    private long _sentFrames;
    private long _sentBytes;
    private long _receivedFrames;
    private long _receivedBytes;
    private long _refused;
    private long _dropped;

    /// <summary>Whether any frame has come in here.</summary>
    public bool HasSent => Volatile.Read(ref _sentFrames) > 0;

    /// <summary>A frame came in here.</summary>
    public void CountSent(int bytes)
    {
        Interlocked.Increment(ref _sentFrames);
        Interlocked.Add(ref _sentBytes, bytes);
    }

    /// <summary>A frame went out here.</summary>
    public void CountReceived(int bytes)
    {
        Interlocked.Increment(ref _receivedFrames);
        Interlocked.Add(ref _receivedBytes, bytes);
    }

    /// <summary>A frame was refused: another's address, a VLAN that is not the port's, no frame at all.</summary>
    public void CountRefused() => Interlocked.Increment(ref _refused);

    /// <summary>A frame did not go out here: the queue was full, or nobody is connected.</summary>
    public void CountDropped() => Interlocked.Increment(ref _dropped);

    /// <summary>All of them.</summary>
    public VnicCounters Read() => new(
        Volatile.Read(ref _sentFrames),
        Volatile.Read(ref _sentBytes),
        Volatile.Read(ref _receivedFrames),
        Volatile.Read(ref _receivedBytes),
        Volatile.Read(ref _refused),
        Volatile.Read(ref _dropped));
}
