using CsCheck;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Protocol;

public sealed class PacketReaderTests
{
    private static readonly Gen<XenStorePacket> AnyPacket = Gen.Select(
        Gen.UInt[0, 30], Gen.UInt, Gen.UInt, Gen.Byte.Array[0, 64],
        (operation, request, transaction, payload) =>
            XenStorePacket.Create((XenStoreOperation)operation, request, transaction, payload));

    [Fact]
    public void ReadsAnyPacketsHoweverTheStreamIsCut() =>
        Gen.Select(AnyPacket.Array[0, 8], Gen.Int[1, 40].Array[1, 200]).Sample((packets, cuts) =>
        {
            byte[] stream = [.. packets.SelectMany(packet => packet.Message.ToArray())];
            var reader = new PacketReader();
            var found = new List<XenStorePacket>();
            int position = 0;
            for (int i = 0; position < stream.Length; i++)
            {
                int count = Math.Min(cuts[i % cuts.Length], stream.Length - position);
                ReadOnlySpan<byte> input = stream.AsSpan(position, count);
                position += count;
                PacketReadStatus status;
                while ((status = reader.Read(ref input, out XenStorePacket? packet)) == PacketReadStatus.Packet)
                {
                    found.Add(packet!);
                }

                Assert.Equal(PacketReadStatus.NeedMore, status);
                Assert.True(input.IsEmpty);
            }

            Assert.True(reader.AtBoundary);
            Assert.Equal(packets.Select(packet => packet.Message.ToArray()), found.Select(packet => packet.Message.ToArray()));
        });

    [Fact]
    public void NeedsMoreForEachCutShortMessage()
    {
        ReadOnlyMemory<byte> message = XenStorePacket.Create(XenStoreOperation.Read, 7, 9, "/a\0"u8).Message;
        for (int length = 0; length < message.Length; length++)
        {
            var reader = new PacketReader();
            ReadOnlySpan<byte> input = message.Span[..length];
            Assert.Equal(PacketReadStatus.NeedMore, reader.Read(ref input, out XenStorePacket? packet));
            Assert.Null(packet);
            Assert.Equal(length == 0, reader.AtBoundary);
        }
    }

    [Fact]
    public void AcceptsTheLargestPayload()
    {
        ReadOnlySpan<byte> input = XenStorePacket.Create(XenStoreOperation.Write, 1, 0, new byte[XenStoreLimits.MaximumPayload]).Message.Span;
        Assert.Equal(PacketReadStatus.Packet, new PacketReader().Read(ref input, out XenStorePacket? packet));
        Assert.Equal(XenStoreLimits.MaximumPayload, packet!.Payload.Length);
    }

    [Theory]
    [InlineData(4097u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void RefusesLongerPayloadsAndStaysRefusing(uint length)
    {
        byte[] header = new byte[XenStoreLimits.HeaderSize];
        new XenStoreHeader(XenStoreOperation.Read, 1, 2, length).Write(header);
        var reader = new PacketReader();
        ReadOnlySpan<byte> input = header;
        Assert.Equal(PacketReadStatus.Malformed, reader.Read(ref input, out _));
        input = XenStorePacket.Create(XenStoreOperation.Read, 1, 0, "/\0"u8).Message.Span;
        Assert.Equal(PacketReadStatus.Malformed, reader.Read(ref input, out _));
        Assert.False(reader.AtBoundary);
    }

    [Fact]
    public void HeaderIsLaidOutAsInTheHeaderFile()
    {
        XenStorePacket packet = XenStorePacket.Create(XenStoreOperation.Write, 0x01020304, 0x05060708, "x"u8);
        Assert.Equal("0B000000" + "04030201" + "08070605" + "01000000" + "78", Convert.ToHexString(packet.Message.Span));
    }
}
