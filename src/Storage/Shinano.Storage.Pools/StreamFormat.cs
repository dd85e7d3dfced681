using System.Buffers.Binary;
using System.Text;
using Shinano.Linux;

namespace Shinano.Storage.Pools;

/// <summary>The bytes of a volume stream (docs/formats/volume-stream.md), version 1. Pure; the bytes that it reads are hostile.</summary>
internal static class StreamFormat
{
    public const int Version = 1;
    public const int HeaderLength = 96;
    public const int RecordLength = 32;
    public const int MostName = 255;

    /// <summary>Bytes of the disk in one data record.</summary>
    public const int MostData = 1 << 20;

    /// <summary>Bytes of a record's payload: a packed one may be a little longer than what it holds.</summary>
    public const int MostPayload = MostData + 4096;

    public static ReadOnlySpan<byte> Magic => "SHVOLST1"u8;

    public static byte[] Encode(StreamHeader header)
    {
        byte[] name = Encoding.UTF8.GetBytes(header.Name);
        byte[] bytes = new byte[HeaderLength + name.Length];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), name.Length);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), header.Size);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), header.Created.ToUnixTimeMilliseconds());
        header.Guid.TryWriteBytes(bytes.AsSpan(32), bigEndian: true, out _);
        header.Base.TryWriteBytes(bytes.AsSpan(48), bigEndian: true, out _);
        name.CopyTo(bytes, HeaderLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(92), Crc32C.Append(Crc32C.Compute(bytes.AsSpan(0, 92)), name));
        return bytes;
    }

    /// <summary>The length of the name behind a header; null when these are not a header's bytes.</summary>
    public static int? NameLength(ReadOnlySpan<byte> header)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
        return header[..8].SequenceEqual(Magic) && BinaryPrimitives.ReadInt32LittleEndian(header[8..]) == Version && length is > 0 and <= MostName ? length : null;
    }

    public static StreamHeader? DecodeHeader(ReadOnlySpan<byte> header, ReadOnlySpan<byte> name)
    {
        long size = BinaryPrimitives.ReadInt64LittleEndian(header[16..]);
        long created = BinaryPrimitives.ReadInt64LittleEndian(header[24..]);
        bool right = BinaryPrimitives.ReadUInt32LittleEndian(header[92..]) == Crc32C.Append(Crc32C.Compute(header[..92]), name)
            && size > 0 && size % 512 == 0 && created is >= 0 and < 253_402_300_799_999;
        return right
            ? new StreamHeader(
                Encoding.UTF8.GetString(name), size, DateTimeOffset.FromUnixTimeMilliseconds(created),
                new Guid(header.Slice(32, 16), bigEndian: true), new Guid(header.Slice(48, 16), bigEndian: true))
            : null;
    }

    public static byte[] Encode(StreamRecord record, ReadOnlySpan<byte> payload)
    {
        byte[] bytes = new byte[RecordLength];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)record.Kind);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), payload.Length);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), record.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), record.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), Crc32C.Compute(payload));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(28), Crc32C.Compute(bytes.AsSpan(0, 28)));
        return bytes;
    }

    /// <summary>A record for a disk of a size; null when it is none.</summary>
    public static (StreamRecord Record, int Payload)? DecodeRecord(ReadOnlySpan<byte> bytes, long size)
    {
        StreamRecord record = new(
            (StreamRecordKind)BinaryPrimitives.ReadInt32LittleEndian(bytes),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]));
        int payload = BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]);
        bool inside = record.Offset >= 0 && record.Length > 0 && (record.Offset | record.Length) % 512 == 0 && record.Offset <= size - record.Length;
        bool right = BinaryPrimitives.ReadUInt32LittleEndian(bytes[28..]) == Crc32C.Compute(bytes[..28]) && record.Kind switch
        {
            StreamRecordKind.Data => inside && record.Length <= MostData && payload == record.Length,
            StreamRecordKind.PackedData => inside && record.Length <= MostData && payload is > 0 and <= MostPayload,
            StreamRecordKind.Zeroes => inside && payload == 0,
            StreamRecordKind.End => record.Offset >= 0 && record.Length == 0 && payload == 32,
            _ => false,
        };
        return right ? (record, payload) : null;
    }
}
