using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>Something that is connected to a bridge. Frames go in by <see cref="Bridge.Forward"/> and come out by <see cref="TrySend"/>.</summary>
public abstract class BridgePort
{
    [ThreadStatic]
    private static byte[]? s_retagged;

    private FrameTap? _capture;

    /// <param name="vlan">Its VLANs.</param>
    protected BridgePort(PortVlan vlan) => Vlan = vlan;

    /// <summary>Its VLANs.</summary>
    public PortVlan Vlan { get; }

    /// <summary>What has passed.</summary>
    public PortCounters Counters { get; } = new();

    /// <summary>What its frames must be to come in; null: anything.</summary>
    public SourceGuard? Guard { get; init; }

    /// <summary>Gets frames to unknown addresses: behind it are others than its own.</summary>
    public bool IsPromiscuous { get; init; }

    /// <summary>A way out that is this port's alone; null when it has none.</summary>
    public PrivateUplink? Uplink { get; init; }

    /// <summary>Sees all that passes; null: nobody does. Any thread.</summary>
    public FrameTap? Capture
    {
        get => Volatile.Read(ref _capture);
        set => Volatile.Write(ref _capture, value);
    }

    /// <summary>Sends a frame of a VLAN out here. Never waits: what finds no room is counted and gone.</summary>
    internal void Send(ushort vlan, in EthernetHeader header, ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        ushort tag = Vlan.TagOf(vlan);
        if (tag != header.Vlan || (tag == 0 && header.Tag is not null))
        {
            byte[] retagged = s_retagged ??= new byte[Link.LinkFormat.MaximumFrame + EthernetHeader.TagSize];
            Send(retagged.AsSpan(0, header.CopyWithVlan(frame, tag, retagged)), offload);
        }
        else
        {
            Send(frame, offload);
        }
    }

    /// <summary>Sends a frame as it is.</summary>
    internal void Send(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        if (TrySend(frame, offload))
        {
            Counters.CountReceived(frame.Length);
            Capture?.Take(frame);
        }
        else
        {
            Counters.CountDropped();
        }
    }

    /// <summary>Queues a frame; false when there is no room. Any thread; never waits.</summary>
    protected abstract bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload);
}
