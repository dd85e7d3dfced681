using System.Collections.Concurrent;
using Shinano.Memory;
using Shinano.SavedState;
using ZstdSharp;

namespace Shinano.Machine.Saving;

/// <summary>Packs pages with zstd and unpacks them. Thread-safe; its contexts are kept until it is disposed.</summary>
internal sealed class PagePacker : IDisposable
{
    /// <summary>zstd's lowest: the domain stands still meanwhile. 65 MiB of a booted Debian kernel with busybox become 17.</summary>
    private const int Level = 1;

    private readonly ConcurrentBag<Compressor> _compressors = [];
    private Decompressor? _decompressor;

    /// <summary>Packs pages, if that makes them shorter.</summary>
    /// <param name="packed">Where to; what does not fit in is not packed.</param>
    /// <returns>Bytes; 0 when it does not pay.</returns>
    public int TryPack(ReadOnlySpan<byte> pages, Span<byte> packed)
    {
        Compressor compressor = _compressors.TryTake(out Compressor? idle) ? idle : new Compressor(Level);
        try
        {
            return compressor.TryWrap(pages, packed, out int written) ? written : 0;
        }
        finally
        {
            _compressors.Add(compressor);
        }
    }

    /// <summary>Unpacks pages of somebody's file. One thread at a time.</summary>
    /// <param name="pages">What is unpacked fills it, exactly: no length in the packed bytes is believed.</param>
    /// <exception cref="SavedStateException">It does not, or the bytes are not packed pages.</exception>
    public void Unpack(ReadOnlySpan<byte> packed, Span<byte> pages)
    {
        _decompressor ??= new Decompressor();
        int written;
        try
        {
            written = _decompressor.Unwrap(packed, pages);
        }
        catch (ZstdException e)
        {
            throw StateReader.Senseless($"pages cannot be unpacked: {e.Message}");
        }

        StateReader.Demand(written == pages.Length, $"{written} bytes were packed where {pages.Length >> GuestMemory.PageShift} pages should be");
    }

    public void Dispose()
    {
        while (_compressors.TryTake(out Compressor? compressor))
        {
            compressor.Dispose();
        }

        _decompressor?.Dispose();
    }
}
