using Shinano.Network.Frames;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>Spreads flows over queues: packets of one connection stay in their order.</summary>
internal static class FlowHash
{
    // FNV-1a.
    private const uint Basis = 2166136261;
    private const uint Prime = 16777619;

    /// <summary>A number from 0, the same for all packets of a flow; 0 for what has no ports.</summary>
    public static int Of(ReadOnlySpan<byte> frame)
    {
        if (!TransportHeader.TryFind(frame, out TransportHeader transport))
        {
            return 0;
        }

        uint hash = Basis;
        ReadOnlySpan<byte> addresses = transport.IsV6 ? frame.Slice(transport.NetworkOffset + 8, 32) : frame.Slice(transport.NetworkOffset + 12, 8);
        foreach (byte one in addresses)
        {
            hash = (hash ^ one) * Prime;
        }

        foreach (byte one in frame.Slice(transport.Offset, 4))
        {
            hash = (hash ^ one) * Prime;
        }

        return (int)((hash ^ (hash >> 16)) & 0x7fff);
    }
}
