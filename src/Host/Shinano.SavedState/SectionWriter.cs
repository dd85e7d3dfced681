using System.Buffers.Binary;
using Shinano.Linux;

namespace Shinano.SavedState;

/// <summary>Writes the sections of a saved domain, or of a migration, one after the other. Not thread-safe; the stream stays the caller's.</summary>
public sealed class SectionWriter
{
    private readonly Stream _output;
    private ulong _sections;

    /// <summary>Writes the beginning.</summary>
    /// <param name="format">What it is; null for a saved domain.</param>
    public SectionWriter(Stream output, SectionFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        _output = output;
        format ??= SectionFormat.SavedDomain;
        Span<byte> header = stackalloc byte[SavedStateFormat.FileHeaderSize];
        header.Clear();
        format.Magic.Span.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], format.Version);
        output.Write(header);
    }

    /// <summary>Writes a section.</summary>
    /// <param name="payload">At most <see cref="SavedStateFormat.MaximumPayload"/> bytes.</param>
    public void Write(SectionKind kind, ReadOnlySpan<byte> payload)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, SavedStateFormat.MaximumPayload);
        Span<byte> header = stackalloc byte[SavedStateFormat.SectionHeaderSize];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)kind);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)payload.Length);
        Span<byte> checksum = stackalloc byte[SavedStateFormat.ChecksumSize];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, Crc32C.Append(Crc32C.Compute(header), payload));
        _output.Write(header);
        _output.Write(payload);
        _output.Write(checksum);
        _sections++;
    }

    /// <summary>Writes the end marker: only a file that has it is whole.</summary>
    public void End()
    {
        Span<byte> count = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(count, _sections);
        Write(SectionKind.End, count);
    }
}
