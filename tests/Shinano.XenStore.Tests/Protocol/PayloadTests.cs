using CsCheck;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Protocol;

public sealed class PayloadTests
{
    [Fact]
    public void EscapesAreUndone() =>
        Gen.Byte.Array[0, 60].Sample(value =>
        {
            string text = PrintableValue.Escape(value);
            Assert.All(text, c => Assert.InRange(c, ' ', '~'));
            return PrintableValue.Unescape(text).AsSpan().SequenceEqual(value);
        });

    [Theory]
    [InlineData("\\x4", "\u0004")]
    [InlineData("\\x411", "A1")]
    [InlineData("\\101x", "Ax")]
    [InlineData("\\q\\", "q")]
    [InlineData("a\\tb", "a\tb")]
    public void UnescapesAsXensTools(string text, string value) =>
        Assert.Equal(value, System.Text.Encoding.Latin1.GetString(PrintableValue.Unescape(text)));

    [Fact]
    public void StringsComeBack() =>
        Gen.Char['\u0001', '\u00ff'].Array[0, 12].Select(characters => new string(characters)).Array[0, 6].Sample(strings =>
            PayloadReader.ReadAll(PayloadWriter.Strings(strings)).SequenceEqual(strings));

    [Fact]
    public void NothingIsReadWithoutATerminator()
    {
        var reader = new PayloadReader("abc"u8);
        Assert.False(reader.TryReadString(out string value));
        Assert.Equal("", value);
        Assert.Equal(3, reader.Rest.Length);
    }

    [Fact]
    public void ErrorsHaveTheNamesOfTheHeaderFile()
    {
        string[] names =
        [
            "EINVAL", "EACCES", "EEXIST", "EISDIR", "ENOENT", "ENOMEM", "ENOSPC", "EIO", "ENOTEMPTY", "ENOSYS", "EROFS", "EBUSY",
            "EAGAIN", "EISCONN", "E2BIG", "EPERM",
        ];
        Assert.Equal(names.Length, Enum.GetValues<XenStoreError>().Length - 1);
        Assert.All(names, name => Assert.Equal(name, XenStoreErrorNames.FromWireName(name).ToWireName()));
        Assert.Equal(XenStoreError.Invalid, XenStoreErrorNames.FromWireName("EWHATEVER"));
    }

    [Fact]
    public void HelloComesBackAndIsNotReadCutShort() =>
        Gen.Select(Gen.UShort[1, DomainId.FirstReserved - 1], Gen.UInt, Gen.UInt.Array[0, 20], Gen.Byte.Array[RelayToken.Size]).Sample((domain, replays, transactions, token) =>
        {
            byte[] bytes = new RelayHello(new DomainId(domain), RelayToken.Of(token), replays, transactions).ToBytes();
            for (int length = 0; length < bytes.Length; length++)
            {
                ReadOnlySpan<byte> part = bytes.AsSpan(0, length);
                Assert.Equal(PacketReadStatus.NeedMore, RelayHello.TryRead(ref part, out _));
                Assert.Equal(length, part.Length);
            }

            ReadOnlySpan<byte> input = (byte[])[.. bytes, 1, 2];
            Assert.Equal(PacketReadStatus.Packet, RelayHello.TryRead(ref input, out RelayHello? hello));
            Assert.Equal(2, input.Length);
            Assert.Equal((domain, replays), (hello!.Domain.Value, hello.Replays));
            Assert.Equal(transactions, hello.OpenTransactions);
            Assert.Equal(Convert.ToHexStringLower(token), hello.Token.ToText());
        });

    [Fact]
    public void TokensAreReadAsTheyAreWrittenAndNothingElseIs()
    {
        RelayToken token = RelayToken.Create();
        Assert.True(RelayToken.TryParse(token.ToText())!.Matches(token));
        Assert.False(RelayToken.Create().Matches(token));
        foreach (string text in (string[])["", "00", token.ToText() + "00", token.ToText()[1..], string.Concat(token.ToText().AsSpan(1), "g")])
        {
            Assert.Null(RelayToken.TryParse(text));
        }
    }

    [Fact]
    public void HelloOfNoRealDomainOrTooLongIsMalformed()
    {
        byte[] good = new RelayHello(new DomainId(1), RelayToken.Create(), 0, []).ToBytes();
        foreach ((int offset, uint value) in ((int, uint)[])[(0, 0), (8, 0), (8, 0x7FF0), (8, 65537), (16, 1025), (16, uint.MaxValue)])
        {
            byte[] bad = [.. good];
            BitConverter.TryWriteBytes(bad.AsSpan(offset), value);
            ReadOnlySpan<byte> input = bad;
            Assert.Equal(PacketReadStatus.Malformed, RelayHello.TryRead(ref input, out _));
        }
    }

    [Fact]
    public void AnyBytesAreReadAsSomeHelloWithoutAnException() =>
        Gen.Byte.Array[0, 64].Sample(bytes =>
        {
            ReadOnlySpan<byte> input = bytes;
            return RelayHello.TryRead(ref input, out _) != PacketReadStatus.Packet;
        });
}
