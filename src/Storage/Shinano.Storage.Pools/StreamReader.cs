using System.Security.Cryptography;
using Shinano.Linux;
using ZstdSharp;

namespace Shinano.Storage.Pools;

/// <summary>Reads a stream into an image. Every byte is hostile: a record is checked before it is used, and the whole before it gets a name.</summary>
internal sealed class StreamReader(Stream input) : IDisposable
{
    private const string Invalid = "cannot receive: invalid stream";

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] _payload = new byte[StreamFormat.MostPayload];
    private readonly byte[] _data = new byte[StreamFormat.MostData];

    public async Task<StreamHeader> ReadHeaderAsync(CancellationToken cancellationToken)
    {
        byte[] header = new byte[StreamFormat.HeaderLength];
        await FillAsync(header, cancellationToken).ConfigureAwait(false);
        if (StreamFormat.NameLength(header) is not { } length)
        {
            throw new VolumeException($"{Invalid} (bad magic number, or a version that is not {StreamFormat.Version})");
        }

        byte[] name = new byte[length];
        await FillAsync(name, cancellationToken).ConfigureAwait(false);
        _hash.AppendData(header);
        _hash.AppendData(name);
        StreamHeader decoded = StreamFormat.DecodeHeader(header, name) ?? throw new VolumeException($"{Invalid} (checksum mismatch in the header)");
        _ = VolumeName.ParseSnapshot($"pool/volume@{decoded.Name}", "receive");
        return decoded;
    }

    /// <summary>Applies all records; when it returns, the stream was whole.</summary>
    public async Task ApplyAsync(StreamHeader header, IBlockImage image, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[StreamFormat.RecordLength];
        for (long count = 0; ; count++)
        {
            await FillAsync(bytes, cancellationToken).ConfigureAwait(false);
            if (StreamFormat.DecodeRecord(bytes, header.Size) is not { } decoded)
            {
                throw new VolumeException($"{Invalid} (record {count} is damaged)");
            }

            (StreamRecord record, int length) = decoded;
            Memory<byte> payload = _payload.AsMemory(0, length);
            await FillAsync(payload, cancellationToken).ConfigureAwait(false);
            if (Crc32C.Compute(payload.Span) != record.Checksum)
            {
                throw new VolumeException($"{Invalid} (checksum mismatch in record {count})");
            }

            if (record.Kind == StreamRecordKind.End)
            {
                if (record.Offset != count || !payload.Span.SequenceEqual(_hash.GetHashAndReset()))
                {
                    throw new VolumeException($"{Invalid} (checksum mismatch at the end)");
                }

                return;
            }

            _hash.AppendData(bytes);
            _hash.AppendData(payload.Span);
            await ApplyAsync(record, payload, image, cancellationToken).ConfigureAwait(false);
            progress?.Report(new TransferProgress(record.Offset + record.Length, header.Size));
        }
    }

    public void Dispose() => _hash.Dispose();

    private async Task ApplyAsync(StreamRecord record, Memory<byte> payload, IBlockImage image, CancellationToken cancellationToken)
    {
        switch (record.Kind)
        {
            case StreamRecordKind.Data:
                await image.WriteAsync(record.Offset, payload, cancellationToken).ConfigureAwait(false);
                break;
            case StreamRecordKind.PackedData:
                Memory<byte> data = _data.AsMemory(0, (int)record.Length);
                if (!TryUnpack(payload.Span, data.Span))
                {
                    throw new VolumeException($"{Invalid} (packed data that cannot be unpacked)");
                }

                await image.WriteAsync(record.Offset, data, cancellationToken).ConfigureAwait(false);
                break;
            default:
                // Only what does not read as zeroes: 32 bytes of a stream must not fill a disk with tables.
                for (long at = record.Offset, end = record.Offset + record.Length; at < end;)
                {
                    ImageExtent extent = ImageExtents.At(image, at);
                    long part = Math.Min(extent.End, end) - at;
                    if (extent.Kind != ExtentKind.Zero)
                    {
                        await image.WriteZeroesAsync(at, part, mayUnmap: true, cancellationToken).ConfigureAwait(false);
                    }

                    at += part;
                }

                break;
        }
    }

    private static bool TryUnpack(ReadOnlySpan<byte> packed, Span<byte> data)
    {
        try
        {
            using Decompressor decompressor = new();
            return decompressor.Unwrap(packed, data) == data.Length;
        }
        catch (ZstdException)
        {
            return false;
        }
    }

    private async Task FillAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (await input.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false) < buffer.Length)
        {
            throw new VolumeException($"{Invalid} (it ends too early)");
        }
    }
}
