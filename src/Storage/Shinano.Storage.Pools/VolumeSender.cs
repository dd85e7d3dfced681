using System.Security.Cryptography;
using ZstdSharp;

namespace Shinano.Storage.Pools;

/// <summary>Writes a snapshot, or the difference of two, as a stream.</summary>
public static class VolumeSender
{
    /// <summary>Sends a snapshot.</summary>
    /// <param name="since">An older snapshot of the same volume, or the one that it is a clone of: only what is different from it is sent. Null for all.</param>
    /// <exception cref="VolumeException">A snapshot does not exist, or <paramref name="since"/> is not an ancestor.</exception>
    public static async Task SendAsync(
        DirectoryPool pool, VolumeName snapshot, VolumeName? since, Stream output, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pool);
        ArgumentNullException.ThrowIfNull(output);
        PoolState state = pool.Read();
        SnapshotRecord target = state.Snapshot(snapshot, "send");
        SnapshotRecord? origin = since is null ? null : state.Snapshot(since, "send");
        int layers = int.MaxValue;
        if (origin is not null)
        {
            layers = 0;
            long? at = target.Layer;
            for (; at is { } id && id != origin.Layer; at = state.Record.Layers[id].Parent)
            {
                layers++;
            }

            if (at is null || layers == 0)
            {
                throw new VolumeException($"cannot send '{snapshot}': incremental source '{since}' is not an earlier snapshot of it");
            }
        }

        ImageReference reference = new(pool.Files.LayerPath(target.Layer), ImageFormat.Qcow2) { ReadOnly = true };
        await using IBlockImage image = await ImageFile.OpenAsync(reference, cancellationToken).ConfigureAwait(false);
        using Writer writer = new(output);
        await writer.WriteAsync(StreamFormat.Encode(new StreamHeader(target.Name, image.Length, target.Created, target.Guid, origin?.Guid ?? Guid.Empty)), cancellationToken).ConfigureAwait(false);
        byte[] buffer = new byte[StreamFormat.MostData];
        foreach (ImageExtent extent in ImageExtents.Of(image, layers))
        {
            progress?.Report(new TransferProgress(extent.Offset, image.Length));
            if (extent.Kind == ExtentKind.Zero && origin is not null)
            {
                await writer.RecordAsync(new StreamRecord(StreamRecordKind.Zeroes, extent.Offset, extent.Length), default, cancellationToken).ConfigureAwait(false);
            }

            for (long at = extent.Offset; extent.Kind == ExtentKind.Data && at < extent.End; at += buffer.Length)
            {
                Memory<byte> data = buffer.AsMemory(0, (int)Math.Min(buffer.Length, extent.End - at));
                await image.ReadAsync(at, data, cancellationToken).ConfigureAwait(false);
                await SendDataAsync(writer, at, data, isFull: origin is null, cancellationToken).ConfigureAwait(false);
                progress?.Report(new TransferProgress(Math.Min(extent.End, at + data.Length), image.Length));
            }
        }

        await writer.EndAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async Task SendDataAsync(Writer writer, long offset, Memory<byte> data, bool isFull, CancellationToken cancellationToken)
    {
        if (data.Span.IndexOfAnyExcept((byte)0) < 0)
        {
            if (!isFull)
            {
                await writer.RecordAsync(new StreamRecord(StreamRecordKind.Zeroes, offset, data.Length), default, cancellationToken).ConfigureAwait(false);
            }

            return;
        }

        byte[] packed;
        using (Compressor compressor = new(3))
        {
            packed = compressor.Wrap(data.Span).ToArray();
        }

        bool pays = packed.Length < data.Length;
        StreamRecord record = new(pays ? StreamRecordKind.PackedData : StreamRecordKind.Data, offset, data.Length);
        await writer.RecordAsync(record, pays ? packed : data, cancellationToken).ConfigureAwait(false);
    }

    private sealed class Writer(Stream output) : IDisposable
    {
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private long _records;

        public async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            _hash.AppendData(bytes.Span);
            await output.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        }

        public async Task RecordAsync(StreamRecord record, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
        {
            await WriteAsync(StreamFormat.Encode(record, payload.Span), cancellationToken).ConfigureAwait(false);
            await WriteAsync(payload, cancellationToken).ConfigureAwait(false);
            _records++;
        }

        public async Task EndAsync(CancellationToken cancellationToken)
        {
            byte[] hash = _hash.GetHashAndReset();
            await output.WriteAsync(StreamFormat.Encode(new StreamRecord(StreamRecordKind.End, _records, 0), hash), cancellationToken).ConfigureAwait(false);
            await output.WriteAsync(hash, cancellationToken).ConfigureAwait(false);
            await output.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        public void Dispose() => _hash.Dispose();
    }
}
