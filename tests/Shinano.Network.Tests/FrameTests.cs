using System.Buffers.Binary;
using CsCheck;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using static Shinano.Network.Tests.TestFrames;

namespace Shinano.Network.Tests;

/// <summary>Checksums, segments, and the formats of frames on their ways.</summary>
public sealed class FrameTests
{
    [Fact]
    public void A_checksum_is_that_of_rfc_1071_for_any_bytes() => Gen.Byte.Array[0, 200].Sample(bytes =>
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += (uint)(bytes[i] << 8) | (i + 1 < bytes.Length ? bytes[i + 1] : 0u);
        }

        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return BinaryPrimitives.ReverseEndianness(InternetChecksum.Fold(InternetChecksum.Add(0, bytes))) == sum;
    });

    [Fact]
    public void A_connection_is_refused_as_rfc_9293_says()
    {
        byte[] answer = new byte[ConnectionRefusal.Size];
        Assert.True(ConnectionRefusal.TryAnswer(Tcp([], sequence: 0xffffffff, flags: 0x02), answer));
        Assert.True(EthernetHeader.TryRead(answer, out EthernetHeader ethernet));
        Assert.Equal((A, B, EthernetHeader.IpV4), (ethernet.Destination, ethernet.Source, ethernet.Type));
        Assert.Equal("0a0000020a000001", Convert.ToHexStringLower(answer.AsSpan(14 + 12, 8)));
        Assert.Equal((80, 1234), (BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(34)), BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(36))));
        Assert.Equal((0u, 0u), (BinaryPrimitives.ReadUInt32BigEndian(answer.AsSpan(38)), BinaryPrimitives.ReadUInt32BigEndian(answer.AsSpan(42))));
        Assert.Equal(0x5014, BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(46)));
        byte[] whole = [.. answer];
        InternetChecksum.TryComplete(whole);
        InternetChecksum.WriteIpV4(whole.AsSpan(14, 20));
        Assert.Equal(whole, answer);
    }

    [Fact]
    public void Nothing_but_the_wish_for_a_connection_is_refused()
    {
        byte[] answer = new byte[ConnectionRefusal.Size];
        Assert.All((byte[])[0x00, 0x10, 0x12, 0x14, 0x04, 0x06, 0x11], flags => Assert.False(ConnectionRefusal.TryAnswer(Tcp([], flags: flags), answer)));
        Assert.False(ConnectionRefusal.TryAnswer(Tcp([], flags: 0x02, isV6: true), answer));
        Assert.False(ConnectionRefusal.TryAnswer(Arp(A, "10.0.0.1", "10.0.0.2"), answer));
        byte[] asks = Tcp([1, 2, 3], flags: 0x02);
        Gen.Select(Gen.Int[0, asks.Length], Gen.Byte.Array[0, 80]).Sample((length, noise) =>
        {
            _ = ConnectionRefusal.TryAnswer(asks.AsSpan(0, length), answer);
            _ = ConnectionRefusal.TryAnswer(noise, answer);
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Segments_carry_the_same_bytes_with_right_headers(bool isV6) =>
        Gen.Select(Gen.Int[1, 9000], Gen.Int[1, 3000], Gen.UInt).Sample((length, segmentSize, sequence) =>
        {
            byte[] payload = new byte[length];
            new Random(length).NextBytes(payload);
            List<byte> together = [];
            bool isCut = Segmenter.TryCut(Tcp(payload, sequence, 0x99, isV6), segmentSize, new byte[70000], segment =>
            {
                Assert.True(TransportHeader.TryFind(segment, out TransportHeader transport));
                Assert.Equal(sequence + (uint)together.Count, BinaryPrimitives.ReadUInt32BigEndian(segment[(transport.Offset + 4)..]));
                byte[] copy = segment.ToArray();
                InternetChecksum.TryComplete(copy);
                Assert.Equal(segment.ToArray(), copy);
                byte flags = segment[transport.Offset + 13];
                bool isLast = together.Count + segment.Length - transport.PayloadOffset == length;
                Assert.Equal((together.Count == 0, isLast, isLast), ((flags & 0x80) != 0, (flags & 8) != 0, (flags & 1) != 0));
                Assert.True(segment.Length - transport.PayloadOffset <= segmentSize);
                together.AddRange(segment[transport.PayloadOffset..]);
            });
            Assert.True(isCut);
            return together.SequenceEqual(payload);
        }, iter: 100);

    [Fact]
    public void Segments_become_the_frame_again_that_they_were_cut_from() => Gen.Select(Gen.Int[8, 60000], Gen.Int[8, 3000], Gen.UInt).Sample((length, segmentSize, sequence) =>
    {
        byte[] payload = new byte[length];
        new Random(length).NextBytes(payload);
        byte[] whole = Tcp(payload, sequence, 0x18);
        SegmentCoalescer coalescer = new();
        List<byte[]> together = [];
        List<byte[]> segments = [];
        Segmenter.TryCut(whole, segmentSize, new byte[70000], segment => segments.Add(segment.ToArray()));
        FrameOffload offload = default;
        for (int i = 0; i < segments.Count;)
        {
            if (!coalescer.TryBegin(segments[i++]))
            {
                together.Add(segments[i - 1]);
                continue;
            }

            while (i < segments.Count && coalescer.TryAppend(segments[i]))
            {
                i++;
            }

            together.Add(coalescer.Finish(out offload).ToArray());
        }

        // A last segment of less than eight bytes stays by itself.
        Assert.Equal(length > segmentSize && length % segmentSize is > 0 and < 8 ? 2 : 1, together.Count);
        byte[] first = together[0];
        if (offload.ChecksumBlank)
        {
            Assert.Equal(new FrameOffload(true, true, GsoKind.TcpV4, (ushort)segmentSize), offload);
            InternetChecksum.TryComplete(first);
        }

        return together.Count == 2 || first.SequenceEqual(whole);
    }, iter: 100);

    [Fact]
    public void Frames_that_do_not_follow_each_other_stay_apart()
    {
        SegmentCoalescer coalescer = new();
        Assert.False(coalescer.TryBegin(Tcp(new byte[100], flags: 0x12)));
        Assert.False(coalescer.TryBegin(Tcp(new byte[100], flags: 0x10, isV6: true)));
        Assert.False(coalescer.TryBegin(Tcp([], flags: 0x10)));
        Assert.True(coalescer.TryBegin(Tcp(new byte[100], 1000, 0x10)));
        Assert.False(coalescer.TryAppend(Tcp(new byte[100], 1101, 0x10)));
        Assert.False(coalescer.TryAppend(Tcp(new byte[101], 1100, 0x10)));
        Assert.False(coalescer.TryAppend(Tcp(new byte[100], 1100, 0x11)));
        byte[] other = Tcp(new byte[100], 1100, 0x10);
        other[34]++;
        Assert.False(coalescer.TryAppend(other));
        Assert.True(coalescer.TryAppend(Tcp(new byte[50], 1100, 0x10)));
        Assert.False(coalescer.TryAppend(Tcp(new byte[50], 1150, 0x10)));
        Assert.Equal(54 + 150, coalescer.Finish(out FrameOffload offload).Length);
        Assert.Equal(100, offload.SegmentSize);
    }

    [Fact]
    public void A_link_is_read_whole_byte_by_byte_and_cut_short()
    {
        byte[] stream = [.. Framed(Plain(A, B), default), .. Framed(Tcp(new byte[4000]), new FrameOffload(true, true, GsoKind.TcpV4, 1460)), .. Framed([], default)];
        for (int available = 0; available <= stream.Length; available++)
        {
            ReadOnlySpan<byte> rest = stream.AsSpan(0, available);
            int frames = 0;
            while (LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out FrameOffload offload) is var status && status != LinkReadStatus.NeedMore)
            {
                Assert.Equal(LinkReadStatus.Frame, status);
                Assert.Equal(frames == 1 ? new FrameOffload(true, true, GsoKind.TcpV4, 1460) : default, offload);
                Assert.Equal(frames == 0 ? Plain(A, B).Length : frames == 1 ? Tcp(new byte[4000]).Length : 0, frame.Length);
                frames++;
            }

            Assert.Equal(available == stream.Length ? 3 : available >= stream.Length - 8 ? 2 : available >= Plain(A, B).Length + 8 ? 1 : 0, frames);
        }
    }

    [Fact]
    public void A_link_with_anything_else_is_malformed_and_never_throws() => Gen.Byte.Array[8, 40].Sample(bytes =>
    {
        ReadOnlySpan<byte> rest = bytes;
        LinkReadStatus status = LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out FrameOffload offload);
        bool isSensible = BinaryPrimitives.ReadUInt32LittleEndian(bytes) <= LinkFormat.MaximumFrame && bytes[4] <= 3 && bytes[5] <= 2 && (bytes[5] == 0 || (bytes[6] | bytes[7]) != 0);
        return status == LinkReadStatus.Malformed ? !isSensible : isSensible && (status == LinkReadStatus.NeedMore || frame.Length <= bytes.Length);
    });

    [Fact]
    public void The_bytes_of_a_link_are_frozen() => Assert.Equal(
        "0400000003" + "01" + "b405" + "01020304", Convert.ToHexStringLower(Framed([1, 2, 3, 4], new FrameOffload(true, true, GsoKind.TcpV4, 1460))));

    [Fact]
    public void A_virtio_header_says_what_is_left_to_do()
    {
        byte[] frame = Tcp(new byte[5000]);
        byte[] header = VirtioHeader.Write(frame, new FrameOffload(true, true, GsoKind.TcpV4, 1460));
        Assert.Equal("0101" + "3600" + "b405" + "2200" + "1000", Convert.ToHexStringLower(header));
        Assert.True(VirtioHeader.TryRead(header, frame.Length, out FrameOffload offload));
        Assert.Equal(new FrameOffload(true, true, GsoKind.TcpV4, 1460), offload);
        header[1] = 3; // UDP: not asked for.
        Assert.False(VirtioHeader.TryRead(header, frame.Length, out _));
    }

    [Theory]
    [InlineData("00:16:3E:1:2:ff", "00:16:3e:01:02:ff")]
    [InlineData("00-16-3e-01-02-03", "00:16:3e:01:02:03")]
    [InlineData("00:16:3e:01:02", null)]
    [InlineData("00:16:3e:01:02:003", null)]
    [InlineData("00:16:3e:01:02:g1", null)]
    public void An_address_is_read_and_written(string text, string? expected) =>
        Assert.Equal(expected, MacAddress.TryParse(text, out MacAddress address) ? address.ToString() : null);

    private static byte[] Framed(byte[] frame, FrameOffload offload)
    {
        byte[] header = new byte[LinkFormat.HeaderSize];
        LinkFormat.WriteHeader(header, frame.Length, offload);
        return [.. header, .. frame];
    }
}
