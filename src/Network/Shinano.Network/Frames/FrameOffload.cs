namespace Shinano.Network.Frames;

/// <summary>What was left undone when a frame was sent, because whoever receives it may not need it done.</summary>
/// <param name="ChecksumBlank">The TCP or UDP checksum holds that of the pseudo header only.</param>
/// <param name="ChecksumValid">The checksum is known to be right, or was never at risk.</param>
/// <param name="Gso">How the frame is to be cut for a wire.</param>
/// <param name="SegmentSize">Bytes of payload in a segment; 0 without <see cref="Gso"/>.</param>
public readonly record struct FrameOffload(bool ChecksumBlank, bool ChecksumValid, GsoKind Gso, ushort SegmentSize)
{
    /// <summary>A frame as it is on a wire.</summary>
    public static FrameOffload None => default;

    /// <summary>Bytes of payload in the smallest segment that a TCP makes. Linux: TCP_MIN_GSO_SIZE.</summary>
    public const int SmallestSegment = 8;

    /// <summary>
    /// Whether a frame is what this says: nobody is to be given another's word for headers that are not there. False for a checksum or segments of a frame
    /// without TCP or UDP.
    /// </summary>
    public bool Fits(ReadOnlySpan<byte> frame) => (!ChecksumBlank && Gso == GsoKind.None)
        || (TransportHeader.TryFind(frame, out TransportHeader transport)
            && (Gso == GsoKind.None || (transport.IsTcp && transport.IsV6 == (Gso == GsoKind.TcpV6) && SegmentSize >= SmallestSegment)));
}
