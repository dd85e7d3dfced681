using Shinano.Network.Frames;
using Shinano.Network.Switching;

namespace Shinano.Network.Tests;

/// <summary>A port that keeps what comes out.</summary>
internal sealed class FakePort(PortVlan? vlan = null) : BridgePort(vlan ?? PortVlan.Access)
{
    public List<byte[]> Out { get; } = [];

    public bool IsFull { get; set; }

    /// <summary>What came out since the last look.</summary>
    public byte[][] Take()
    {
        byte[][] frames = [.. Out];
        Out.Clear();
        return frames;
    }

    protected override bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload)
    {
        if (!IsFull)
        {
            Out.Add(frame.ToArray());
        }

        return !IsFull;
    }
}
