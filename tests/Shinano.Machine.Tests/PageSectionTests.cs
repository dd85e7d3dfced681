using System.Buffers.Binary;
using Shinano.Machine.Saving;
using Shinano.Memory;
using Shinano.SavedState;
using ZstdSharp;

namespace Shinano.Machine.Tests;

/// <summary>The guest's memory in a saved domain (docs/formats/saved-domain.md): packed, not packed, and sections that lie.</summary>
public sealed class PageSectionTests
{
    private const ulong First = 0x100;
    private const int Frames = 1000;

    [Fact]
    public void Memory_is_read_as_it_was_written_packed_where_that_pays()
    {
        using GuestMemory memory = Memory();
        Random random = new(1);
        for (ulong frame = First; frame < First + Frames; frame++)
        {
            switch (frame % 7)
            {
                case 0:
                    break;
                case 1 when frame > First + 500:
                    random.NextBytes(memory.FrameSpan(frame));
                    break;
                default:
                    memory.FrameSpan(frame).Fill((byte)frame);
                    break;
            }
        }

        for (ulong frame = First + 600; frame < First + 856; frame++)
        {
            random.NextBytes(memory.FrameSpan(frame));
        }

        byte[] file = Write(memory, out long pages);
        Assert.InRange(file.Length, 256 * GuestMemory.PageSize, 400 * GuestMemory.PageSize);
        using GuestMemory restored = Memory();
        List<SectionKind> kinds = Load(file, restored);
        Assert.Contains(SectionKind.Pages, kinds);
        Assert.Contains(SectionKind.PackedPages, kinds);
        for (ulong frame = First; frame < First + Frames; frame++)
        {
            Assert.True(memory.FrameSpan(frame).SequenceEqual(restored.FrameSpan(frame)), $"{frame:x}");
        }

        Assert.Equal(memory.FramesWithContent().LongCount(), pages);
    }

    [Fact]
    public void Writing_ends_when_it_is_called_off_or_the_stream_takes_no_more()
    {
        using GuestMemory memory = Memory();
        for (ulong frame = First; frame < First + Frames; frame++)
        {
            Random.Shared.NextBytes(memory.FrameSpan(frame));
        }

        using CancellationTokenSource off = new();
        off.Cancel();
        Assert.Throws<OperationCanceledException>(() => PageSections.Write(new SectionWriter(new MemoryStream()), memory, _ => true, off.Token));
        Assert.Throws<NotSupportedException>(() => PageSections.Write(new SectionWriter(new MemoryStream(new byte[1 << 20])), memory, _ => true, CancellationToken.None));
    }

    [Fact]
    public void A_section_that_lies_is_refused()
    {
        using GuestMemory memory = Memory();
        using Compressor compressor = new();
        byte[] page = new byte[GuestMemory.PageSize];
        byte[] packed = compressor.Wrap(page).ToArray();
        byte[] bomb = compressor.Wrap(new byte[64 << 20]).ToArray();
        foreach ((SectionKind kind, ulong first, ulong count, byte[] content) in ((SectionKind, ulong, ulong, byte[])[])
        [
            (SectionKind.Pages, First, 2, page),
            (SectionKind.Pages, First, 257, page),
            (SectionKind.Pages, First + Frames, 1, page),
            (SectionKind.Pages, ulong.MaxValue, 1, page),
            (SectionKind.Pages, First, 1UL << 32, []),
            (SectionKind.PackedPages, First, 2, packed),
            (SectionKind.PackedPages, First, 0, packed),
            (SectionKind.PackedPages, First, 1, bomb),
            (SectionKind.PackedPages, First, 1, packed[..^1]),
            (SectionKind.PackedPages, First, 1, page),
            (SectionKind.PackedPages, First, 1, []),
            (SectionKind.PackedPages, First + Frames, 1, packed),
        ])
        {
            Assert.Equal(SavedStateError.Senseless, Refused(memory, kind, Section(first, count, content)));
        }

        Assert.Equal(SavedStateError.Senseless, Refused(memory, SectionKind.Pages, [1, 2, 3]));
    }

    [Fact]
    public void Packed_pages_with_any_byte_changed_are_refused_or_are_pages()
    {
        using GuestMemory memory = Memory();
        using PagePacker packer = new();
        Random random = new(2);
        byte[] pages = new byte[4 * GuestMemory.PageSize];
        random.NextBytes(pages.AsSpan(0, pages.Length / 2));
        using Compressor compressor = new();
        byte[] whole = Section(First, 4, compressor.Wrap(pages).ToArray());
        for (int i = 0; i < 3000; i++)
        {
            byte[] changed = [.. whole];
            changed[16 + (i % 2 == 0 ? random.Next(32) : random.Next(changed.Length - 16))] ^= (byte)random.Next(1, 256);
            try
            {
                Assert.Equal(4, PageSections.Load(SectionKind.PackedPages, changed, packer, memory, IsGuests));
            }
            catch (SavedStateException e)
            {
                Assert.Equal(SavedStateError.Senseless, e.Error);
            }
        }
    }

    private static GuestMemory Memory()
    {
        GuestMemory memory = new(First, Frames);
        memory.AddRam(First, Frames);
        return memory;
    }

    private static bool IsGuests(ulong frame) => frame is >= First and < First + Frames;

    private static byte[] Write(GuestMemory memory, out long pages)
    {
        MemoryStream file = new();
        SectionWriter sections = new(file);
        pages = PageSections.Write(sections, memory, IsGuests);
        sections.End();
        return file.ToArray();
    }

    private static List<SectionKind> Load(byte[] file, GuestMemory memory)
    {
        using PagePacker packer = new();
        SectionReader reader = new(new MemoryStream(file));
        List<SectionKind> kinds = [];
        SectionKind kind;
        while ((kind = reader.Read(out byte[] payload)) != SectionKind.End)
        {
            kinds.Add(kind);
            PageSections.Load(kind, payload, packer, memory, IsGuests);
        }

        return kinds;
    }

    private static byte[] Section(ulong first, ulong count, byte[] content)
    {
        byte[] section = new byte[16 + content.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(section, first);
        BinaryPrimitives.WriteUInt64LittleEndian(section.AsSpan(8), count);
        content.CopyTo(section, 16);
        return section;
    }

    private static SavedStateError Refused(GuestMemory memory, SectionKind kind, byte[] section)
    {
        using PagePacker packer = new();
        return Assert.Throws<SavedStateException>(() => PageSections.Load(kind, section, packer, memory, IsGuests)).Error;
    }
}
