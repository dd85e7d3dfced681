using System.Buffers.Binary;
using Shinano.Linux;

namespace Shinano.SavedState;

/// <summary>Reads the sections of a saved domain, or of a migration, which may be anybody's. Not thread-safe; the stream stays the caller's.</summary>
public sealed class SectionReader
{
    private readonly Stream _input;
    private readonly SectionFormat _format;
    private ulong _sections;
    private bool _ended;

    /// <summary>Reads the beginning.</summary>
    /// <param name="format">What it must be; null for a saved domain.</param>
    /// <exception cref="SavedStateException">It is something else, or of another version.</exception>
    public SectionReader(Stream input, SectionFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        _input = input;
        _format = format ?? SectionFormat.SavedDomain;
        Span<byte> header = stackalloc byte[SavedStateFormat.FileHeaderSize];
        int count = input.ReadAtLeast(header, header.Length, throwOnEndOfStream: false);
        ReadOnlySpan<byte> magic = _format.Magic.Span;
        if (!header[..Math.Min(count, magic.Length)].SequenceEqual(magic[..Math.Min(count, magic.Length)]) || count == 0)
        {
            throw new SavedStateException(SavedStateError.NotRecognised, $"not {_format.Name}");
        }

        if (count < header.Length)
        {
            throw new SavedStateException(SavedStateError.Truncated, $"the {_format.Medium} ends within its first line");
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if (version != _format.Version)
        {
            throw new SavedStateException(
                SavedStateError.WrongVersion, $"the {_format.Medium} is of version {version} of the format; this program reads version {_format.Version}");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(header[12..]) != 0)
        {
            throw new SavedStateException(SavedStateError.Damaged, $"the {_format.Medium}'s header has bits that mean nothing");
        }
    }

    /// <summary>Reads the next section whole and checks its sum.</summary>
    /// <param name="payload">The section's content.</param>
    /// <returns>The section's kind; <see cref="SectionKind.None"/> after the end marker, behind which there is nothing.</returns>
    /// <exception cref="SavedStateException">The file is truncated or damaged.</exception>
    public SectionKind Read(out byte[] payload)
    {
        payload = [];
        if (_ended)
        {
            return SectionKind.None;
        }

        Span<byte> header = stackalloc byte[SavedStateFormat.SectionHeaderSize];
        Fill(header);
        SectionKind kind = (SectionKind)BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        if (!Enum.IsDefined(kind) || kind == SectionKind.None || BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) != 0 || length > SavedStateFormat.MaximumPayload)
        {
            throw new SavedStateException(SavedStateError.Damaged, $"section {_sections + 1} is of no known kind or length");
        }

        // The file's length bounds what is allocated, where the stream knows it.
        if (_input.CanSeek && (ulong)(_input.Length - _input.Position) < length + SavedStateFormat.ChecksumSize)
        {
            throw Truncated();
        }

        payload = GC.AllocateUninitializedArray<byte>((int)length);
        Fill(payload);
        Span<byte> checksum = stackalloc byte[SavedStateFormat.ChecksumSize];
        Fill(checksum);
        if (BinaryPrimitives.ReadUInt32LittleEndian(checksum) != Crc32C.Append(Crc32C.Compute(header), payload))
        {
            throw new SavedStateException(SavedStateError.Damaged, $"the checksum of section {_sections + 1} is wrong: the {_format.Medium} was damaged or changed");
        }

        if (kind == SectionKind.End)
        {
            EndWith(payload);
        }

        _sections++;
        return kind;
    }

    /// <summary>Reads to the end, so that whatever is wrong with the frame of the file is found.</summary>
    /// <exception cref="SavedStateException">The file is truncated or damaged.</exception>
    public void VerifyRest()
    {
        while (Read(out _) != SectionKind.None)
        {
        }
    }

    private void EndWith(byte[] payload)
    {
        if (payload.Length != sizeof(ulong) || BinaryPrimitives.ReadUInt64LittleEndian(payload) != _sections)
        {
            throw new SavedStateException(SavedStateError.Damaged, "the end marker counts other sections than there are");
        }

        if (_input.CanSeek && _input.ReadByte() >= 0)
        {
            throw new SavedStateException(SavedStateError.Damaged, "there is something behind the end marker");
        }

        _ended = true;
    }

    private void Fill(Span<byte> buffer)
    {
        if (_input.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) < buffer.Length)
        {
            throw Truncated();
        }
    }

    private SavedStateException Truncated() =>
        new(SavedStateError.Truncated, $"the {_format.Medium} ends in section {_sections + 1}, before its end marker");
}
