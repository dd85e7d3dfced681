namespace Shinano.Hypervisor.Images;

/// <summary>Names what somebody gave instead of a kernel: the usual mix-ups, by their first bytes.</summary>
internal static class FileKind
{
    private static readonly (byte[] Magic, int Offset, string Name)[] Known =
    [
        ([(byte)'0', (byte)'7', (byte)'0', (byte)'7', (byte)'0'], 0, "a cpio archive (a ramdisk?)"),
        ([0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0], 0, "an xz-compressed file"),
        ([0x28, 0xb5, 0x2f, 0xfd], 0, "a zstd-compressed file"),
        ([(byte)'B', (byte)'Z', (byte)'h'], 0, "a bzip2-compressed file"),
        ([0x02, 0x21, 0x4c, 0x18], 0, "an lz4-compressed file"),
        ([0x04, 0x22, 0x4d, 0x18], 0, "an lz4-compressed file"),
        ([(byte)'Q', (byte)'F', (byte)'I', 0xfb], 0, "a qcow2 disk image"),
        ([(byte)'!', (byte)'<', (byte)'a', (byte)'r', (byte)'c', (byte)'h', (byte)'>'], 0, "an ar archive (a Debian package?)"),
        ([(byte)'#', (byte)'!'], 0, "a script"),
        ([(byte)'P', (byte)'K', 3, 4], 0, "a zip archive"),
        ([(byte)'z', (byte)'i', (byte)'m', (byte)'g'], 4, "a compressed EFI image (zboot)"),
        ([(byte)'M', (byte)'Z'], 0, "a PE (EFI or Windows) program"),
        ([(byte)'C', (byte)'D', (byte)'0', (byte)'0', (byte)'1'], 0x8001, "an ISO 9660 image"),
        ([0x55, 0xaa], 510, "a disk image or boot sector"),
    ];

    /// <summary>A noun phrase with its article.</summary>
    public static string Describe(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty)
        {
            return "an empty file";
        }

        foreach (var (magic, offset, name) in Known)
        {
            if (file.Length > offset && file[offset..].StartsWith(magic))
            {
                return name;
            }
        }

        return $"a file of {file.Length} bytes of another kind";
    }
}
