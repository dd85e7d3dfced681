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
}
