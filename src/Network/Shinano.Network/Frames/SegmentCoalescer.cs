using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>
/// Puts TCP segments that follow each other back into one long frame, which costs a guest as much as one of them: the opposite of <see cref="Segmenter"/>. Takes
/// IPv4 without options; all but the last have the same size. Pure; one thread.
/// </summary>
public sealed class SegmentCoalescer
{
    private const int MaximumFrame = 65535;

    // RFC 9293 §3.1: ACK, and PSH, which ends a frame.
    private const byte Acknowledge = 0x10;
    private const byte Push = 8;

    private readonly byte[] _frame = new byte[MaximumFrame];
    private TransportHeader _transport;
    private int _length;
    private int _segments;
    private int _segmentSize;
    private uint _next;
    private bool _isComplete;

    /// <summary>Begins with a frame; false when it is none that others can be put to.</summary>
    public bool TryBegin(ReadOnlySpan<byte> frame)
    {
        if (!IsSegment(frame, out _transport))
        {
            return false;
        }

        frame.CopyTo(_frame);
        _length = frame.Length;
        _segments = 1;
        _segmentSize = frame.Length - _transport.PayloadOffset;
        _next = Sequence(frame) + (uint)_segmentSize;
        _isComplete = (frame[_transport.Offset + 13] & Push) != 0;
        return true;
    }

    /// <summary>Puts the next frame to it; false when it does not belong there.</summary>
    public bool TryAppend(ReadOnlySpan<byte> frame)
    {
        if (_isComplete || !IsSegment(frame, out TransportHeader transport) || transport != _transport || Sequence(frame) != _next)
        {
            return false;
        }

        ReadOnlySpan<byte> payload = frame[transport.PayloadOffset..];
        if (payload.Length > _segmentSize || _length + payload.Length > MaximumFrame || !HasSameHeaders(frame))
        {
            return false;
        }

        payload.CopyTo(_frame.AsSpan(_length));
        _length += payload.Length;
        _segments++;
        _next += (uint)payload.Length;
        byte flags = frame[transport.Offset + 13];
        _frame[transport.Offset + 13] |= (byte)(flags & Push);
        _isComplete = (flags & Push) != 0 || payload.Length < _segmentSize;
        return true;
    }

    /// <summary>The frame; valid until the next begins.</summary>
    public ReadOnlySpan<byte> Finish(out FrameOffload offload)
    {
        if (_segments == 1)
        {
            offload = FrameOffload.None with { ChecksumValid = true };
            return _frame.AsSpan(0, _length);
        }

        Span<byte> frame = _frame.AsSpan(0, _length);
        Span<byte> network = frame[_transport.NetworkOffset..];
        BinaryPrimitives.WriteUInt16BigEndian(network[2..], (ushort)network.Length);
        InternetChecksum.WriteIpV4(network[..20]);
        ushort pseudo = InternetChecksum.Fold(InternetChecksum.PseudoHeader(frame, _transport, _length - _transport.Offset));
        BinaryPrimitives.WriteUInt16LittleEndian(frame[(_transport.Offset + _transport.ChecksumOffset)..], pseudo);
        offload = new FrameOffload(true, true, GsoKind.TcpV4, (ushort)_segmentSize);
        return frame;
    }

    /// <summary>TCP with payload over IPv4 without options, untagged and unpadded, with no flag but ACK and PSH.</summary>
    private static bool IsSegment(ReadOnlySpan<byte> frame, out TransportHeader transport) =>
        TransportHeader.TryFind(frame, out transport)
        && transport is { IsTcp: true, IsV6: false, NetworkOffset: EthernetHeader.Size, Offset: EthernetHeader.Size + 20 }
        && frame.Length <= MaximumFrame
        && frame.Length - transport.PayloadOffset >= FrameOffload.SmallestSegment
        && BinaryPrimitives.ReadUInt16BigEndian(frame[(EthernetHeader.Size + 2)..]) == frame.Length - EthernetHeader.Size
        && (frame[transport.Offset + 13] & ~Push) == Acknowledge;

    private uint Sequence(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt32BigEndian(frame[(_transport.Offset + 4)..]);

    /// <summary>All but lengths, identification, sequence, flags and checksums.</summary>
    private bool HasSameHeaders(ReadOnlySpan<byte> frame)
    {
        int network = _transport.NetworkOffset;
        int tcp = _transport.Offset;
        return Same(frame, 0, network + 2)
            && Same(frame, network + 6, network + 10)
            && Same(frame, network + 12, tcp + 4)
            && Same(frame, tcp + 8, tcp + 13)
            && Same(frame, tcp + 14, tcp + 16)
            && Same(frame, tcp + 18, _transport.PayloadOffset);
    }

    private bool Same(ReadOnlySpan<byte> frame, int from, int to) => frame[from..to].SequenceEqual(_frame.AsSpan(from, to - from));
}
