using System.Text;
using CsCheck;

namespace Shinano.Hypervisor.Images.Tests;

public sealed class KernelImageReaderTests
{
    public static TheoryData<PayloadCompression> Compressions => new(SyntheticBzImage.All);

    [Fact]
    public void AVmlinuxIsReadWithLibelfsAddresses()
    {
        var image = Read(SyntheticElf.LinuxLike().Build());
        Assert.Equal(KernelContainer.Elf, image.Container);
        Assert.Equal(0xffffffff80000000, image.VirtualBase);
        Assert.Equal(0UL, image.ElfPhysicalOffset);
        Assert.Equal(0xffffffff81000000, image.VirtualStart);
        Assert.Equal(0xffffffff81003064, image.VirtualEnd);
        Assert.Equal(0xffffffff81000100, image.Entry);
        Assert.Equal(0xffffffff81001000, image.HypercallPage);
        Assert.Equal(0x8000000000UL, image.InitialP2M);
    }

    [Fact]
    public void SegmentsGoWhereTheirPhysicalAddressSays()
    {
        var image = Read(SyntheticElf.LinuxLike().Build());
        Assert.Equal(
            [0xffffffff81000000, 0xffffffff81002000, 0xffffffff81003000],
            image.Segments.Select(segment => segment.VirtualAddress));
        Assert.Equal([0x1000000UL, 0x1002000UL, 0x1003000UL], image.Segments.Select(segment => segment.PseudoPhysicalAddress));
        Assert.Equal([8192UL, 4096UL, 100UL], image.Segments.Select(segment => segment.MemorySize));
        Assert.Equal([true, false, false], image.Segments.Select(segment => segment.Executable));
        Assert.Equal([false, true, true], image.Segments.Select(segment => segment.Writable));
        Assert.Equal(0UL, image.Segments[2].LinkedAddress);
        Assert.Equal(SyntheticElf.Pattern(3000), image.Segments[0].FileBytes.ToArray());
    }

    [Fact]
    public void EveryNoteIsRead()
    {
        var notes = Read(SyntheticElf.LinuxLike().Raw(0, Encoding.ASCII.GetBytes("A=B\0")).Build()).Notes;
        Assert.Equal(XenNotesSource.NoteSegments, notes.Source);
        Assert.Equal("linux", notes.GuestOs);
        Assert.Equal("2.6", notes.GuestVersion);
        Assert.Equal("xen-3.0", notes.XenVersion);
        Assert.Equal("generic", notes.Loader);
        Assert.Equal("yes", notes.PaeMode);
        Assert.Equal("!writable_page_tables|pae_pgdir_above_4gb", notes.Features);
        Assert.Equal(0x8811u, notes.SupportedFeatures);
        Assert.Equal(1u, notes.RequiredFeatures);
        Assert.Equal(0xffff800000000000, notes.HypervisorStartLow);
        Assert.Equal(0x1000200u, notes.Phys32Entry);
        Assert.True(notes.SuspendCancel);
        Assert.True(notes.ModuleStartIsPfn);
        Assert.False(notes.BsdSymbolTable);
        Assert.Equal([new MfnValidPattern(1, 1)], notes.L1MfnValid);
        Assert.Equal(["A=B"], notes.Info);
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void ABzImageGivesTheSameImageAsItsElfFile(PayloadCompression compression)
    {
        var elf = SyntheticElf.LinuxLike().Build();
        var image = Read(SyntheticBzImage.Build(elf, compression));
        Assert.Equal(KernelContainer.BzImage, image.Container);
        Assert.Equal(compression, image.Compression);
        Assert.Equal("6.1.0-test (me@here)", image.LinuxVersion);
        Assert.True(image.Elf.Span.SequenceEqual(elf));
        Assert.Equal(0xffffffff81000100, image.Entry);
    }

    [Fact]
    public void AGzippedElfFileAndAGzippedBzImageAreUnwrapped()
    {
        var elf = SyntheticElf.LinuxLike().Build();
        Assert.Equal(PayloadCompression.Gzip, Read(SyntheticBzImage.Compress(elf, PayloadCompression.Gzip)).Compression);
        var inner = SyntheticBzImage.Build(elf, PayloadCompression.Zstd);
        Assert.Equal(PayloadCompression.Zstd, Read(SyntheticBzImage.Compress(inner, PayloadCompression.Gzip)).Compression);
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void ABzImageCutAnywhereIsTruncatedOrNoKernel(PayloadCompression compression)
    {
        var file = SyntheticBzImage.Build(SyntheticElf.LinuxLike().Build(), compression);
        for (var length = 0; length < file.Length; length++)
        {
            var failure = Fail(file[..length]);
            Assert.Equal(length < 0x206 ? KernelImageError.NotAKernel : KernelImageError.TruncatedBzImage, failure.Error);
        }
    }

    [Theory]
    [MemberData(nameof(Compressions))]
    public void ABzImageWithFlippedBytesNeverThrows(PayloadCompression compression)
    {
        var file = SyntheticBzImage.Build(SyntheticElf.LinuxLike().Build(), compression);
        CheckFlips(file, from: 0x1f0);
    }

    [Fact]
    public void AnElfFileCutAnywhereIsRefused()
    {
        var file = WithSections().Build();
        var whole = Read(file);
        for (var length = 0; length < file.Length; length++)
        {
            // Without its section table (the end of the file) the kernel still starts: it has its segments.
            var result = KernelImageReader.ReadPv(file.AsMemory(0, length));
            if (result.Succeeded)
            {
                Assert.Equal(whole.Entry, result.Image.Entry);
                Assert.All(
                    whole.Segments.Zip(result.Image.Segments),
                    pair => Assert.True(pair.First.FileBytes.Span.SequenceEqual(pair.Second.FileBytes.Span)));
            }
        }

        Assert.Equal(KernelImageError.MalformedElf, Fail(file[..1000]).Error);
    }

    [Fact]
    public void AnElfFileWithFlippedBytesNeverThrows() => CheckFlips(WithSections().Build(), from: 4);

    [Fact]
    public void NoiseBehindAnElfOrBzImageMagicNeverThrows() =>
        Gen.Byte.Array[0, 1200].Sample(
            noise =>
            {
                byte[] elf = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, .. noise];
                var bzImage = SyntheticBzImage.Wrap(noise);
                Assert.NotNull(KernelImageReader.ReadPv(elf).Failure);
                Assert.NotNull(KernelImageReader.ReadPv(bzImage).Failure);
                Assert.NotNull(KernelImageReader.ReadPv(noise).Failure);
            },
            iter: 300,
            threads: 1);

    [Fact]
    public void NotesInASectionAreFoundWhenNoSegmentHasAny()
    {
        var elf = new SyntheticElf { NotesInSection = true };
        elf.Load(0x100000, 0x100000, SyntheticElf.Pattern(64), 64).Text(8, "generic").Text(5, "xen-3.0").Number(1, 0x100010);
        var image = Read(elf.Build());
        Assert.Equal(XenNotesSource.NoteSections, image.Notes.Source);
        Assert.Equal(0UL, image.VirtualBase);
        Assert.Equal(0x100010UL, image.Entry);
        Assert.Null(image.HypercallPage);
        Assert.Null(image.InitialP2M);
    }

    [Fact]
    public void TheLegacySectionTakesItsOwnDefaults()
    {
        var elf = new SyntheticElf { EntryPoint = 0xffffffff80100000 };
        elf.Load(0xffffffff80100000, 0xffffffff80100000, SyntheticElf.Pattern(64), 8192)
            .Section("__xen_guest", 1, Encoding.ASCII.GetBytes(
                "GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,HYPERCALL_PAGE=0x101,"
                + "FEATURES=writable_page_tables|!pae_pgdir_above_4gb,PAE=yes[extended-cr3],LOADER=generic,BSD_SYMTAB\0"));
        var image = Read(elf.Build());
        Assert.Equal(XenNotesSource.LegacySection, image.Notes.Source);
        Assert.Equal(0xffffffff80000000, image.ElfPhysicalOffset);
        Assert.Equal(0xffffffff80100000, image.VirtualStart);
        Assert.Equal(0x100000UL, image.Segments[0].PseudoPhysicalAddress);
        Assert.Equal(0xffffffff80101000, image.HypercallPage);
        Assert.Equal(0xffffffff80100000, image.Entry);
        Assert.Equal(0x11u, image.Notes.SupportedFeatures);
        Assert.Equal(0x10u, image.Notes.RequiredFeatures);
        Assert.True(image.Notes.BsdSymbolTable);
    }

    [Fact]
    public void AnOffsetInTheNotesMovesTheImage()
    {
        var elf = new SyntheticElf();
        elf.Load(0xffffffff80200000, 0xffffffff80200000, SyntheticElf.Pattern(64), 64)
            .Text(8, "generic").Text(5, "xen-3.0").Number(1, 0xffffffff80200000)
            .Number(3, 0xffffffff80000000).Number(4, 0xffffffff80000000);
        var image = Read(elf.Build());
        Assert.Equal(0xffffffff80200000, image.VirtualStart);
        Assert.Equal(0x200000UL, image.Segments[0].PseudoPhysicalAddress);
    }

    [Fact]
    public void ABsdKernelGetsItsSymbolTable()
    {
        var symbols = SyntheticElf.Pattern(48);
        var names = Encoding.ASCII.GetBytes("\0start\0");
        var elf = new SyntheticElf();
        elf.Load(0x100000, 0x100000, SyntheticElf.Pattern(64), 100)
            .Text(8, "generic").Text(5, "xen-3.0").Text(6, "NetBSD").Number(1, 0x100000).Text(11, "yes")
            .Section(".symtab", 2, symbols, link: 2).Section(".strtab", 3, names);
        var image = Read(elf.Build());
        Assert.Equal(2, image.Segments.Length);
        var table = image.Segments[1];
        Assert.Equal(0x100068UL, table.VirtualAddress);
        Assert.Equal(image.VirtualEnd, table.VirtualAddress + table.MemorySize);
        var bytes = table.FileBytes.ToArray();
        Assert.Equal(320, bytes.Length);
        Assert.Equal(312u + 7u - 4u, BitConverter.ToUInt32(bytes, 0));
        Assert.Equal(3, BitConverter.ToUInt16(bytes, 4 + 60));
        Assert.Equal(260UL, BitConverter.ToUInt64(bytes, 4 + 64 + 64 + 24));
        Assert.Equal(308UL, BitConverter.ToUInt64(bytes, 4 + 64 + 128 + 24));
        Assert.Equal(symbols, bytes[264..312]);
        Assert.Equal(names, bytes[312..319]);
    }

    private static SyntheticElf WithSections() =>
        SyntheticElf.LinuxLike().Section(".symtab", 2, SyntheticElf.Pattern(48), link: 2).Section(".strtab", 3, "\0a\0"u8.ToArray())
            .Section("__xen_guest", 1, "GUEST_OS=linux\0"u8.ToArray()).Text(11, "yes");

    private static void CheckFlips(byte[] file, int from) =>
        Gen.Select(Gen.Int[from, file.Length - 1], Gen.Byte[1, 255]).Array[1, 6].Sample(
            flips =>
            {
                var damaged = (byte[])file.Clone();
                foreach (var (at, mask) in flips)
                {
                    damaged[at] ^= mask;
                }

                var result = KernelImageReader.ReadPv(damaged);
                if (!result.Succeeded)
                {
                    Assert.True(result.Failure.Message.Length > 15);
                    return;
                }

                var image = result.Image;
                Assert.InRange(image.Entry, image.VirtualStart, image.VirtualEnd);
                Assert.InRange(image.VirtualBase, 0UL, image.VirtualStart);
                foreach (var segment in image.Segments)
                {
                    Assert.True((ulong)segment.FileBytes.Length <= segment.MemorySize);
                    Assert.InRange(segment.VirtualAddress, image.VirtualStart, image.VirtualEnd);
                    Assert.True(segment.MemorySize <= image.VirtualEnd - segment.VirtualAddress);
                    Assert.Equal(segment.VirtualAddress - image.VirtualBase, segment.PseudoPhysicalAddress);
                }
            },
            iter: 400,
            threads: 1);

    private static KernelImage Read(byte[] file)
    {
        var result = KernelImageReader.ReadPv(file);
        Assert.True(result.Succeeded, result.Failure?.Message);
        return result.Image;
    }

    private static KernelImageFailure Fail(byte[] file) =>
        KernelImageReader.ReadPv(file).Failure ?? throw new InvalidOperationException("the file was accepted");
}
