using System.Globalization;
using System.Text;
using CsCheck;

namespace Shinano.Control.GuestPackages.Tests;

public sealed class CpioWriterTests
{
    [Fact]
    public void AnEntryIsWrittenByteForByte()
    {
        var cpio = new CpioWriter();
        cpio.AddFile("/ab", "hello"u8);
        var expected =
            "070701" + "00000001" + "000081a4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005"
            + "00000000" + "00000000" + "00000000" + "00000000" + "00000003" + "00000000" + "ab\0" + "\0" + "\0\0"
            + "hello\0\0\0";
        var bytes = Encoding.ASCII.GetString(cpio.ToArray());

        // 110 bytes of header and 3 of name: 3 bytes of padding bring the content to a multiple of 4.
        Assert.Equal(116, expected.Length - 8);
        Assert.StartsWith(expected, bytes, StringComparison.Ordinal);
        Assert.StartsWith("07070100000000", bytes[expected.Length..], StringComparison.Ordinal);
        Assert.Contains("TRAILER!!!\0", bytes, StringComparison.Ordinal);
        Assert.Equal(0, bytes.Length % 512);
    }

    [Fact]
    public void WhatIsWrittenIsReadBack() =>
        Gen.Select(Gen.String[Gen.Char['a', 'z'], 1, 12], Gen.Byte.Array[0, 50]).Array[0, 20].Sample(
            files =>
            {
                var cpio = new CpioWriter();
                var expected = new List<(string, string)>();
                foreach (var (name, content) in files.DistinctBy(file => file.Item1))
                {
                    cpio.AddFile(name, content);
                    expected.Add((name, Convert.ToHexString(content)));
                }

                var actual = Entries(cpio.ToArray()).Select(entry => (entry.Name, Convert.ToHexString(entry.Content)));
                return expected.SequenceEqual(actual);
            },
            iter: 200);

    [Fact]
    public void ParentsComeFirstAndOnce()
    {
        var cpio = new CpioWriter();
        cpio.AddFile("a/b/c", []);
        cpio.AddSymbolicLink("a/b/d", "/x");
        cpio.AddDirectory("a/b");
        cpio.AddCharacterDevice("dev/console", 5, 1, 0x180);
        var entries = Entries(cpio.ToArray()).ToList();
        Assert.Equal(["a", "a/b", "a/b/c", "a/b/d", "dev", "dev/console"], entries.Select(entry => entry.Name));
        Assert.Equal([0x41ed, 0x41ed, 0x81a4, 0xa1ff, 0x41ed, 0x2180], entries.Select(entry => entry.Mode));
        Assert.Equal("/x"u8, entries[3].Content);
        Assert.Equal((5, 1), entries[5].Device);
    }

    [Fact]
    public void TwiceTheSameNameOrAnOddPathIsRefused()
    {
        var cpio = new CpioWriter();
        cpio.AddFile("a", []);
        Assert.Throws<ArgumentException>(() => cpio.AddFile("/a", []));
        Assert.Throws<ArgumentException>(() => cpio.AddFile("", []));
        Assert.Throws<ArgumentException>(() => cpio.AddFile("../a", []));
        Assert.Throws<ArgumentException>(() => cpio.AddFile("b//a", []));
        Assert.Throws<ArgumentException>(() => cpio.AddFile("b\0", []));
    }

    [Fact]
    public void TheArchiveCanBeTakenTwice()
    {
        var cpio = new CpioWriter();
        cpio.AddFile("a", "1"u8);
        Assert.Equal(cpio.ToArray(), cpio.ToArray());
    }

    internal static IEnumerable<(string Name, int Mode, byte[] Content, (int Major, int Minor) Device)> Entries(byte[] archive)
    {
        for (var at = 0; ;)
        {
            Assert.Equal("070701", Encoding.ASCII.GetString(archive, at, 6));
            var start = at;
            int Field(int index) => int.Parse(
                Encoding.ASCII.GetString(archive, start + 6 + (8 * index), 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var name = Encoding.UTF8.GetString(archive, at + 110, Field(11) - 1);
            var content = (at + 110 + Field(11) + 3) & ~3;
            if (name == "TRAILER!!!")
            {
                yield break;
            }

            yield return (name, Field(1), archive[content..(content + Field(6))], (Field(9), Field(10)));
            at = (content + Field(6) + 3) & ~3;
        }
    }
}
