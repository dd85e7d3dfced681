using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>A network interface's statistics, seen from the guest. Thread-safe.</summary>
internal sealed class NetCounters
{
    private long _sentPackets;
    private long _sentBytes;
    private long _sentErrors;
    private long _sentDropped;
    private long _receivedPackets;
    private long _receivedBytes;
    private long _receivedErrors;
    private long _receivedDropped;

    public void CountSent(int bytes)
    {
        Interlocked.Increment(ref _sentPackets);
        Interlocked.Add(ref _sentBytes, bytes);
    }

    public void CountReceived(int bytes)
    {
        Interlocked.Increment(ref _receivedPackets);
        Interlocked.Add(ref _receivedBytes, bytes);
    }

    /// <summary>A packet that the guest described wrongly.</summary>
    public void CountSentError() => Interlocked.Increment(ref _sentErrors);

    /// <summary>Packets that were taken while there was no switch.</summary>
    public void CountSentDropped(int packets) => Interlocked.Add(ref _sentDropped, packets);

    /// <summary>A packet for which the guest gave no page.</summary>
    public void CountReceivedError() => Interlocked.Increment(ref _receivedErrors);

    /// <summary>A packet for which there were no buffers, or that the guest cannot take.</summary>
    public void CountReceivedDropped() => Interlocked.Increment(ref _receivedDropped);

    public IReadOnlyList<DeviceCounter> Read() =>
    [
        new("tx_packets", Volatile.Read(ref _sentPackets)),
        new("tx_bytes", Volatile.Read(ref _sentBytes)),
        new("tx_errors", Volatile.Read(ref _sentErrors)),
        new("tx_dropped", Volatile.Read(ref _sentDropped)),
        new("rx_packets", Volatile.Read(ref _receivedPackets)),
        new("rx_bytes", Volatile.Read(ref _receivedBytes)),
        new("rx_errors", Volatile.Read(ref _receivedErrors)),
        new("rx_dropped", Volatile.Read(ref _receivedDropped)),
    ];
}
