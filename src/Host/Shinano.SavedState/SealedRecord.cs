using System.Buffers.Binary;
using Shinano.Linux;

namespace Shinano.SavedState;

/// <summary>A small file of one piece that says what it is, in which version, and whether it is whole.</summary>
/// <remarks>
/// <code>
/// 0 eight letters   8 version (32)   12 length (32)   16 content   then CRC-32C of all before it (32)
/// </code>
/// Little-endian.
/// </remarks>
public static class SealedRecord
{
    /// <summary>The longest content, bytes.</summary>
    public const int MaximumContent = 1 << 20;

    private const int HeaderSize = 16;
    private const int ChecksumSize = 4;

    /// <summary>Makes the bytes of a file.</summary>
    /// <param name="letters">Eight, by which the file is known.</param>
    public static byte[] Seal(ReadOnlySpan<byte> letters, uint version, ReadOnlySpan<byte> content)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(letters.Length, 8);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(content.Length, MaximumContent);
        byte[] file = new byte[HeaderSize + content.Length + ChecksumSize];
        letters.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(8), version);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(12), (uint)content.Length);
        content.CopyTo(file.AsSpan(HeaderSize));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(HeaderSize + content.Length), Crc32C.Compute(file.AsSpan(0, HeaderSize + content.Length)));
        return file;
    }

    /// <summary>Takes the content out of a file, which may be anybody's.</summary>
    /// <exception cref="SavedStateException">It is none of these, of another version, cut short, or damaged.</exception>
    public static ReadOnlySpan<byte> Open(ReadOnlySpan<byte> letters, uint version, ReadOnlySpan<byte> file)
    {
        int known = Math.Min(file.Length, letters.Length);
        if (file.IsEmpty || !file[..known].SequenceEqual(letters[..known]))
        {
            throw new SavedStateException(SavedStateError.NotRecognised, "the file begins with other letters");
        }

        if (file.Length < HeaderSize)
        {
            throw new SavedStateException(SavedStateError.Truncated, "the file ends within its header");
        }

        uint found = BinaryPrimitives.ReadUInt32LittleEndian(file[8..]);
        if (found != version)
        {
            throw new SavedStateException(SavedStateError.WrongVersion, $"the file is of version {found} of the format; this program reads version {version}");
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(file[12..]);
        if (length > MaximumContent)
        {
            throw new SavedStateException(SavedStateError.Damaged, $"the file says that it has {length} bytes");
        }

        int end = HeaderSize + (int)length;
        if (file.Length < end + ChecksumSize)
        {
            throw new SavedStateException(SavedStateError.Truncated, "the file ends before its checksum");
        }

        return file.Length == end + ChecksumSize && BinaryPrimitives.ReadUInt32LittleEndian(file[end..]) == Crc32C.Compute(file[..end])
            ? file[HeaderSize..end]
            : throw new SavedStateException(SavedStateError.Damaged, "the checksum is wrong: the file was damaged or changed");
    }
}
