using System.Buffers;
using System.Buffers.Binary;
using Shinano.Memory;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>The guest's memory in a saved domain: runs of frames that hold anything but zeros.</summary>
/// <remarks>
/// <code>
/// 0 first machine frame (64)   8 count (32)   12 zero (32)   16 count pages of 4096 bytes, packed with zstd in a section PAGZ
/// </code>
/// </remarks>
internal static class PageSections
{
    /// <summary>Frames of a section at most: 1 MiB.</summary>
    private const int MostFrames = 256;
    private const int HeaderSize = 16;
    private const int MostBytes = HeaderSize + (MostFrames * GuestMemory.PageSize);

    /// <summary>Sections that are packed at the same time; each takes two buffers of 1 MiB.</summary>
    private static readonly int Parallel = Math.Clamp(Environment.ProcessorCount, 1, 8);

    /// <summary>Writes every frame of the guest's and of those shared with it.</summary>
    /// <param name="belongs">Whether a frame is one of these.</param>
    /// <param name="cancellation">Ends the writing between two sections.</param>
    /// <returns>Pages written.</returns>
    public static long Write(SectionWriter output, GuestMemory memory, Func<ulong, bool> belongs, CancellationToken cancellation = default) =>
        Write(output, memory, memory.FramesWithContent().Where(belongs), isPacked: true, cancellation);

    /// <summary>Writes frames, whatever they hold, in ascending order; those that are no memory, or are none any more, are left out.</summary>
    /// <param name="isPacked">Packed where that makes them shorter.</param>
    /// <param name="cancellation">Ends the writing between two sections.</param>
    /// <returns>Pages written.</returns>
    public static long Write(SectionWriter output, GuestMemory memory, IEnumerable<ulong> frames, bool isPacked, CancellationToken cancellation = default)
    {
        using PagePacker? packer = isPacked ? new PagePacker() : null;
        Queue<Task<Section>> underWay = new();
        long pages = 0;
        try
        {
            foreach (Section section in Collect(memory, frames))
            {
                cancellation.ThrowIfCancellationRequested();
                underWay.Enqueue(packer is null ? Task.FromResult(section.Close(null)) : Task.Run(() => section.Close(packer), CancellationToken.None));
                if (underWay.Count > Parallel)
                {
                    pages += Take(underWay.Dequeue());
                }
            }

            while (underWay.Count > 0)
            {
                cancellation.ThrowIfCancellationRequested();
                pages += Take(underWay.Dequeue());
            }
        }
        finally
        {
            // After a failure: nobody packs with what is disposed.
            Task.WaitAll([.. underWay], CancellationToken.None);
        }

        return pages;

        int Take(Task<Section> packed)
        {
            using Section section = packed.GetAwaiter().GetResult();
            output.Write(section.Kind, section.Payload);
            return section.Count;
        }
    }

    /// <summary>Puts a section's pages where they belong.</summary>
    /// <param name="kind"><see cref="SectionKind.Pages"/> or <see cref="SectionKind.PackedPages"/>.</param>
    /// <returns>How many pages they are.</returns>
    /// <exception cref="SavedStateException">A frame is none of the guest's, or the section is no section of pages.</exception>
    public static int Load(SectionKind kind, ReadOnlySpan<byte> section, PagePacker packer, GuestMemory memory, Func<ulong, bool> belongs)
    {
        StateReader.Demand(section.Length >= HeaderSize, "a section of pages without a header");
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(section);
        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(section[8..]);
        StateReader.Demand(count <= MostFrames, $"{count} frames in a section of pages");
        ReadOnlySpan<byte> content = section[HeaderSize..];
        byte[] unpacked = ArrayPool<byte>.Shared.Rent(MostBytes);
        try
        {
            if (kind == SectionKind.PackedPages)
            {
                Span<byte> pages = unpacked.AsSpan(0, (int)count * GuestMemory.PageSize);
                packer.Unpack(content, pages);
                content = pages;
            }

            StateReader.Demand(content.Length == (int)count * GuestMemory.PageSize, "a section of pages has another length than it says");
            for (int i = 0; i < (int)count; i++)
            {
                ulong frame = unchecked(first + (ulong)i);
                StateReader.Demand(belongs(frame), $"machine frame {frame:x} is none of the guest's");
                content.Slice(i * GuestMemory.PageSize, GuestMemory.PageSize).CopyTo(memory.FrameSpan(frame));
            }

            return (int)count;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(unpacked);
        }
    }

    /// <summary>The sections, not packed yet; who takes one disposes it.</summary>
    private static IEnumerable<Section> Collect(GuestMemory memory, IEnumerable<ulong> frames)
    {
        Section? section = null;
        foreach (ulong frame in frames)
        {
            if (section is not null && !section.Follows(frame))
            {
                yield return section;
                section = null;
            }

            section ??= new Section(frame);
            section.TryAdd(memory, frame);
        }

        if (section is not null)
        {
            yield return section;
        }
    }

    private sealed class Section(ulong first) : IDisposable
    {
        private readonly byte[] _pages = ArrayPool<byte>.Shared.Rent(MostBytes);
        private byte[]? _packed;
        private int _length = HeaderSize;

        public int Count { get; private set; }

        public SectionKind Kind => _packed is null ? SectionKind.Pages : SectionKind.PackedPages;

        public ReadOnlySpan<byte> Payload => (_packed ?? _pages).AsSpan(0, _length);

        public bool Follows(ulong frame) => Count < MostFrames && frame == first + (ulong)Count;

        /// <summary>Adds the content of a frame, unless it is no memory.</summary>
        public void TryAdd(GuestMemory memory, ulong frame)
        {
            if (memory.TryRead(frame << GuestMemory.PageShift, _pages.AsSpan(_length, GuestMemory.PageSize)))
            {
                _length += GuestMemory.PageSize;
                Count++;
            }
        }

        /// <summary>Completes the section; nothing is added any more.</summary>
        /// <param name="packer">Null: not packed.</param>
        public Section Close(PagePacker? packer)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_pages, first);
            BinaryPrimitives.WriteUInt64LittleEndian(_pages.AsSpan(8), (uint)Count);
            if (packer is null)
            {
                return this;
            }

            byte[] packed = ArrayPool<byte>.Shared.Rent(MostBytes);
            int count = packer.TryPack(_pages.AsSpan(HeaderSize, _length - HeaderSize), packed.AsSpan(HeaderSize, _length - HeaderSize));
            if (count == 0)
            {
                ArrayPool<byte>.Shared.Return(packed);
                return this;
            }

            _pages.AsSpan(0, HeaderSize).CopyTo(packed);
            _length = HeaderSize + count;
            _packed = packed;
            return this;
        }

        public void Dispose()
        {
            ArrayPool<byte>.Shared.Return(_pages);
            if (_packed is not null)
            {
                ArrayPool<byte>.Shared.Return(_packed);
            }
        }
    }
}
