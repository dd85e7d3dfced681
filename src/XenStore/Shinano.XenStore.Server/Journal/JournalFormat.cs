using System.Buffers;
using System.Buffers.Binary;
using Shinano.Linux;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>The frame of the journal file: its header and its records. Drawn in docs/formats/xenstore-journal.md.</summary>
internal static class JournalFormat
{
    internal const int HeaderSize = 32;
    internal const int RecordHeaderSize = 16;

    /// <summary>A change is smaller; a checkpoint is cut into records of about <see cref="CheckpointRecordSize"/>.</summary>
    internal const int MaximumBody = 64 * 1024 * 1024;
    internal const int CheckpointRecordSize = 256 * 1024;
    private const uint Version = 1;

    private static ReadOnlySpan<byte> Magic => "SHXSJRN1"u8;

    /// <summary>Writes the header of a file whose checkpoint has this many bytes after the header.</summary>
    internal static byte[] Header(long checkpointLength)
    {
        byte[] header = new byte[HeaderSize];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), Version);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), checkpointLength);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(28), Crc32C.Compute(header.AsSpan(0, 28)));
        return header;
    }

    /// <summary>Checks a header and returns the length of the checkpoint.</summary>
    internal static bool TryReadHeader(ReadOnlySpan<byte> file, out long checkpointLength)
    {
        checkpointLength = 0;
        if (file.Length < HeaderSize
            || !file.StartsWith(Magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(file[8..]) != Version
            || BinaryPrimitives.ReadUInt32LittleEndian(file[28..]) != Crc32C.Compute(file[..28]))
        {
            return false;
        }

        checkpointLength = BinaryPrimitives.ReadInt64LittleEndian(file[16..]);
        return checkpointLength >= 0;
    }

    /// <summary>Appends a record that holds these steps.</summary>
    internal static void WriteRecord(ArrayBufferWriter<byte> output, ulong sequence, IEnumerable<StoreMutation> mutations)
    {
        var body = new ArrayBufferWriter<byte>();
        var writer = new MutationWriter(body);
        foreach (StoreMutation mutation in mutations)
        {
            writer.Write(mutation);
        }

        Span<byte> record = output.GetSpan(RecordHeaderSize + body.WrittenCount)[..(RecordHeaderSize + body.WrittenCount)];
        BinaryPrimitives.WriteInt32LittleEndian(record, body.WrittenCount);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], sequence);
        body.WrittenSpan.CopyTo(record[RecordHeaderSize..]);
        BinaryPrimitives.WriteUInt32LittleEndian(record[4..], Crc32C.Compute(record[8..]));
        output.Advance(record.Length);
    }

    /// <summary>Reads the record at the front of the input.</summary>
    /// <param name="input">Advanced past the record when the result is true.</param>
    /// <param name="sequence">The number the record must have.</param>
    /// <param name="mutations">The steps.</param>
    /// <returns>False when there is no whole, sound record of this number: the end of the journal.</returns>
    internal static bool TryReadRecord(ref ReadOnlySpan<byte> input, ulong sequence, out List<StoreMutation> mutations)
    {
        mutations = [];
        if (input.Length < RecordHeaderSize)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(input);
        if (length is <= 0 or > MaximumBody || length > input.Length - RecordHeaderSize)
        {
            return false;
        }

        ReadOnlySpan<byte> covered = input.Slice(8, RecordHeaderSize - 8 + length);
        if (BinaryPrimitives.ReadUInt32LittleEndian(input[4..]) != Crc32C.Compute(covered)
            || BinaryPrimitives.ReadUInt64LittleEndian(covered) != sequence
            || !MutationReader.TryReadAll(covered[8..], out mutations))
        {
            return false;
        }

        input = input[(RecordHeaderSize + length)..];
        return true;
    }
}
