namespace Shinano.Hypervisor.Images.Tests;

/// <summary>Each way to be refused, with words that help.</summary>
public sealed class KernelImageErrorTests
{
    [Theory]
    [InlineData("", "an empty file")]
    [InlineData("#!/bin/sh\n", "a script")]
    [InlineData("070701000", "cpio")]
    [InlineData("hello", "5 bytes")]
    [InlineData("!<arch>\ndebian-binary", "ar archive")]
    public void OtherFilesAreNamed(string content, string named) =>
        Refused(System.Text.Encoding.ASCII.GetBytes(content), KernelImageError.NotAKernel, named);

    [Fact]
    public void AGzippedFileOfAnotherKindIsNotAKernel() =>
        Refused(SyntheticBzImage.Compress("070701"u8.ToArray(), PayloadCompression.Gzip), KernelImageError.NotAKernel, "cpio");

    [Fact]
    public void AnUnknownCompressionIsShownByItsFirstBytes() =>
        Refused(SyntheticBzImage.Wrap([1, 2, 3, 4, 5, 6, 7, 8, 9]), KernelImageError.UnsupportedCompression, "01020304");

    [Fact]
    public void AnOldBootProtocolIsNamed() => Refused(
        SyntheticBzImage.Build(SyntheticElf.LinuxLike().Build(), PayloadCompression.Gzip, protocol: 0x204),
        KernelImageError.BootProtocolTooOld,
        "2.04");

    [Fact]
    public void APayloadThatIsNoElfFileIsCorrupt() => Refused(
        SyntheticBzImage.Build(new byte[1000], PayloadCompression.Zstd), KernelImageError.CorruptPayload, "zstd", "not an ELF file");

    [Fact]
    public void AKernelWithoutNotesIsNamedWithItsVersion() => Refused(
        SyntheticBzImage.Build(new SyntheticElf().Load(0, 0, [1], 1).Build(), PayloadCompression.Xz),
        KernelImageError.NoPvSupport,
        "bzImage",
        "xz",
        "6.1.0-test",
        "CONFIG_XEN_PV");

    [Fact]
    public void APvhKernelIsToldApart() => Refused(
        new SyntheticElf().Load(0, 0x100000, [1], 1).Text(6, "linux").Text(5, "xen-3.0").Text(8, "generic").Number(18, 0x100000, 4).Build(),
        KernelImageError.NoPvSupport,
        "PVH entry at 0x100000");

    [Theory]
    [InlineData("yes", "x86_32p")]
    [InlineData("no", "x86_32,")]
    public void A32BitPvKernelIsToldApart(string pae, string kind)
    {
        var elf = new SyntheticElf { Is64Bit = false, Machine = 3 };
        elf.Load(0xc0100000, 0x100000, [1], 1).Text(6, "linux").Text(5, "xen-3.0").Text(9, pae).Number(3, 0xc0000000, 4);
        Refused(elf.Build(), KernelImageError.ThirtyTwoBitPv, kind, "64-bit");
    }

    [Fact]
    public void A32BitElfFileWithoutNotesHasNoPvSupport() => Refused(
        new SyntheticElf { Is64Bit = false, Machine = 3 }.Load(0, 0x100000, [1], 1).Build(), KernelImageError.NoPvSupport, "32-bit ELF");

    [Fact]
    public void AnArmKernelIsForAnotherMachine() =>
        Refused(new SyntheticElf { Machine = 183 }.Load(0, 0, [1], 1).Build(), KernelImageError.UnsupportedArchitecture, "183");

    [Fact]
    public void AModuleIsNotAKernel() => Refused(
        new SyntheticElf { Type = 1 }.Text(8, "generic").Text(5, "xen-3.0").Number(1, 0).Build(),
        KernelImageError.MalformedElf,
        "kernel module");

    [Fact]
    public void WrongNotesAreRefusedAsXenDoes()
    {
        Refused(Small().Text(8, "own").Text(6, "Other").Text(5, "xen-3.0").Build(), KernelImageError.InvalidXenNotes, "\"own\"");
        Refused(Small().Text(8, "generic").Text(5, "xen-2.0").Build(), KernelImageError.InvalidXenNotes, "xen-2.0");
        Refused(Small().Text(8, "generic").Build(), KernelImageError.InvalidXenNotes, "xen-3.0");
        Refused(Good().Text(10, "!dom0").Build(), KernelImageError.InvalidXenNotes, "domain 0");
        Refused(Good().Text(10, "!teleport|pae").Build(), KernelImageError.InvalidXenNotes, "teleport");
        Refused(Good().Number(4, 0).Build(), KernelImageError.InvalidXenNotes, "VIRT_BASE");
        Refused(Good().Number(3, 0).Number(1, 0x200000).Build(), KernelImageError.InvalidXenNotes, "entry 0x200000");
        Refused(Good().Number(15, 0x100001).Build(), KernelImageError.InvalidXenNotes, "P2M");
        Refused(Good().Number(3, 0x10).Number(4, 0x100001).Build(), KernelImageError.InvalidXenNotes, "out of bounds");
    }

    [Fact]
    public void ImpossibleSegmentsAreRefused()
    {
        Refused(Good().Load(0, ulong.MaxValue - 1, [1], 100).Build(), KernelImageError.MalformedElf, "wraps");
        Refused(Good().Load(0, 0x100000, [1, 2, 3], 2).Build(), KernelImageError.MalformedElf, "more bytes in the file");
        Refused(Good().Load(0, 1UL << 50, [1], 1).Build(), KernelImageError.MalformedElf, "512 GiB");
    }

    private static SyntheticElf Small() => new SyntheticElf().Load(0x100000, 0x100000, [1, 2, 3, 4], 4).Number(1, 0x100000);

    private static SyntheticElf Good() => Small().Text(8, "generic").Text(5, "xen-3.0");

    private static void Refused(byte[] file, KernelImageError error, params string[] words)
    {
        var failure = KernelImageReader.ReadPv(file).Failure;
        Assert.NotNull(failure);
        Assert.Equal(error, failure.Error);
        Assert.All(words, word => Assert.Contains(word, failure.Message, StringComparison.Ordinal));
    }
}
