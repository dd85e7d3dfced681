using System.Buffers.Binary;

namespace Shinano.Network.Frames;

/// <summary>Cuts a long TCP frame into segments with headers and checksums of their own, for whoever does not take it whole. Pure.</summary>
public static class Segmenter
{
    // RFC 9293 §3.1.
    private const byte Fin = 1;
    private const byte Push = 8;
    private const byte Congestion = 0x80;

    /// <summary>Cuts.</summary>
    /// <param name="frame">Ethernet, IP, TCP, payload.</param>
    /// <param name="segmentSize">Bytes of payload in a segment, from 1.</param>
    /// <param name="scratch">At least as long as headers and one segment; overwritten for each.</param>
    /// <param name="take">Called for each segment in order.</param>
    /// <returns>False when the frame is no TCP: nothing was taken.</returns>
    public static bool TryCut(ReadOnlySpan<byte> frame, int segmentSize, Span<byte> scratch, FrameAction take)
    {
        ArgumentNullException.ThrowIfNull(take);
        if (segmentSize < 1 || !TransportHeader.TryFind(frame, out TransportHeader transport) || !transport.IsTcp)
        {
            return false;
        }

        ReadOnlySpan<byte> headers = frame[..transport.PayloadOffset];
        ReadOnlySpan<byte> payload = frame[transport.PayloadOffset..];
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(headers[(transport.Offset + 4)..]);
        ushort identification = BinaryPrimitives.ReadUInt16BigEndian(headers[(transport.NetworkOffset + 4)..]);
        byte flags = headers[transport.Offset + 13];
        int done = 0;
        do
        {
            int length = Math.Min(segmentSize, payload.Length - done);
            bool isLast = done + length == payload.Length;
            Span<byte> one = scratch[..(headers.Length + length)];
            headers.CopyTo(one);
            payload.Slice(done, length).CopyTo(one[headers.Length..]);
            Span<byte> network = one[transport.NetworkOffset..];
            if (transport.IsV6)
            {
                BinaryPrimitives.WriteUInt16BigEndian(network[4..], (ushort)(network.Length - 40));
            }
            else
            {
                BinaryPrimitives.WriteUInt16BigEndian(network[2..], (ushort)network.Length);
                BinaryPrimitives.WriteUInt16BigEndian(network[4..], identification++);
                InternetChecksum.WriteIpV4(network[..(transport.Offset - transport.NetworkOffset)]);
            }

            Span<byte> tcp = one[transport.Offset..];
            BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], sequence + (uint)done);

            // FIN and PSH belong to the last one, CWR to the first (RFC 3168 §6.1.2).
            tcp[13] = (byte)(flags & (isLast ? 0xff : ~(Fin | Push)) & (done == 0 ? 0xff : ~Congestion));
            InternetChecksum.Complete(one, transport);
            take(one);
            done += length;
        }
        while (done < payload.Length);

        return true;
    }
}
