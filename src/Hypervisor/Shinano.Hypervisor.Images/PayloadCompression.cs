namespace Shinano.Hypervisor.Images;

/// <summary>How the ELF file inside a kernel image is compressed.</summary>
public enum PayloadCompression
{
    None,
    Gzip,
    Bzip2,
    Lzma,
    Xz,
    Lzo,
    Lz4,
    Zstd,
}
