using Shinano.Linux;

namespace Shinano.Memory.Tests;

public sealed class GuestMemoryTests
{
    public static TheoryData<MappingKind> Kinds => [.. Enum.GetValues<MappingKind>()];

    private sealed class Watcher : ICodeWatcher
    {
        public List<(ulong Physical, int Length)> Seen { get; } = [];

        public void CodeWritten(ulong physical, int length) => Seen.Add((physical, length));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Accessors_refuse_what_is_outside_or_no_memory(MappingKind kind)
    {
        using GuestMemory memory = Make(kind, 0x1000, 16, (0x1000, 2));
        Assert.True(memory.TryWrite(0x1000FFF, [1, 2]));
        byte[] read = new byte[2];
        Assert.True(memory.TryRead(0x1000FFF, read));
        Assert.Equal([1, 2], read);
        Assert.False(memory.TryRead(0x1001FFF, read));
        Assert.False(memory.TryRead(0xFFFFFF, read));
        Assert.False(memory.TryRead(ulong.MaxValue, read));
        Assert.False(memory.TryReadUInt64(0x1000001, out _));
        Assert.False(memory.TryWriteUInt64(0x1010000, 1));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_removed_run_comes_back_zeroed_and_its_neighbours_stay(MappingKind kind)
    {
        using GuestMemory memory = Make(kind, 16, 8, (16, 8));
        memory.CodeWatcher = new Watcher();
        for (ulong frame = 16; frame < 24; frame++)
        {
            memory.FrameSpan(frame).Fill((byte)frame);
        }

        memory.ChangeFlags(19, FrameFlags.Code, FrameFlags.None);
        memory.RemoveRam(18, 3);
        Assert.Equal([(19UL << 12, 4096)], ((Watcher)memory.CodeWatcher).Seen);
        Assert.Equal([true, true, false, false, false, true, true, true], Enumerable.Range(16, 8).Select(frame => memory.IsRam((ulong)frame)));
        memory.AddRam(18, 3);
        for (ulong frame = 16; frame < 24; frame++)
        {
            Assert.Equal(-1, memory.FrameSpan(frame).IndexOfAnyExcept(frame is >= 18 and < 21 ? (byte)0 : (byte)frame));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_removed_frame_comes_back_zeroed(MappingKind kind)
    {
        using GuestMemory memory = Make(kind, 16, 4, (17, 1));
        memory.FrameSpan(17).Fill(0xAA);
        memory.RemoveRam(17);
        Assert.False(memory.IsRam(17));
        memory.AddRam(17, 1);
        Assert.Equal(-1, memory.FrameSpan(17).IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Writes_into_code_frames_are_announced_page_by_page(MappingKind kind)
    {
        Watcher watcher = new();
        using GuestMemory memory = Make(kind, 0, 4, (0, 4));
        memory.CodeWatcher = watcher;
        memory.ChangeFlags(1, FrameFlags.Code, FrameFlags.None);
        memory.TryWrite(0xFFE, [1, 2, 3, 4]);
        memory.TryWriteUInt64(0x2000, 5);
        Assert.Equal([(0x1000UL, 2)], watcher.Seen);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Content_of_before_is_there_and_frames_that_leave_and_come_are_empty(MappingKind kind)
    {
        using GuestMemory memory = Make(kind, 16, 64, (20, 8));
        Assert.Equal([0x55, 0x55], memory.FrameSpan(20)[..2].ToArray());
        Assert.Equal(20UL, Assert.Single(memory.FramesWithContent()));
        memory.RemoveRam(20);
        Assert.Empty(memory.FramesWithContent());
        memory.AddRam(20, 1);
        Assert.Equal(-1, memory.FrameSpan(20).IndexOfAnyExcept((byte)0));

        // Never memory before: nothing of another's shows through.
        memory.AddRam(40, 8);
        for (ulong frame = 40; frame < 48; frame++)
        {
            Assert.Equal(-1, memory.FrameSpan(frame).IndexOfAnyExcept((byte)0));
        }

        Assert.Empty(memory.FramesWithContent());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Content_is_found_whether_of_before_or_of_after(MappingKind kind)
    {
        using GuestMemory memory = Make(kind, 16, 300, (16, 300));
        memory.TryWrite(21UL << 12, [1]);
        memory.TryWrite(200UL << 12, [1]);
        memory.TryWrite((201UL << 12) + 4095, [1]);
        memory.Clear(200);
        Assert.Equal([16UL, 21, 201], memory.FramesWithContent());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Copies_see_what_was_there_and_nothing_that_comes_later(MappingKind kind)
    {
        using GuestMemory parent = Make(kind, 16, 300, (16, 300));
        parent.TryWrite(30UL << 12, [7]);
        using GuestMemory first = CopyOf(parent);
        parent.TryWrite(30UL << 12, [8]);
        parent.TryWrite(31UL << 12, [9]);
        first.TryWrite(32UL << 12, [10]);
        using GuestMemory second = CopyOf(parent);
        using GuestMemory grandchild = CopyOf(first);
        Assert.Equal([0x55, 8, 9, 0], Bytes(parent));
        Assert.Equal([0x55, 7, 0, 10], Bytes(first));
        Assert.Equal([0x55, 8, 9, 0], Bytes(second));
        Assert.Equal([0x55, 7, 0, 10], Bytes(grandchild));
        second.FrameSpan(16).Clear();
        grandchild.FrameSpan(30).Clear();
        Assert.Equal([0x55, 8, 9, 0], Bytes(parent));
        Assert.Equal([0x55, 7, 0, 10], Bytes(first));

        static byte[] Bytes(GuestMemory memory) => [.. ((ulong[])[16, 30, 31, 32]).Select(frame => memory.FrameSpan(frame)[0])];
    }

    [Fact]
    public void Much_that_has_changed_becomes_a_new_base_and_little_a_delta()
    {
        using GuestMemory memory = new(0, 1024);
        memory.AddRam(0, 1024);
        for (ulong frame = 0; frame < 512; frame++)
        {
            memory.FrameSpan(frame)[0] = 1;
        }

        using (FrozenMemory first = memory.Freeze())
        {
            Assert.Null(first.Delta);
        }

        memory.FrameSpan(900)[0] = 2;
        using (FrozenMemory second = memory.Freeze())
        {
            Assert.NotNull(second.Delta);
        }

        for (ulong frame = 600; frame < 800; frame++)
        {
            memory.FrameSpan(frame)[0] = 3;
        }

        using FrozenMemory third = memory.Freeze();
        Assert.Null(third.Delta);
        using FrozenMemory fourth = memory.Freeze();
        Assert.Null(fourth.Delta);
        Assert.Equal(713, memory.FramesWithContent().Count());
    }

    [Fact]
    public void Scattered_changes_beyond_what_is_mapped_are_copied()
    {
        const ulong frames = 17_000;
        using GuestMemory parent = new(0, (long)frames);
        parent.AddRam(0, frames);
        for (ulong frame = 0; frame < frames; frame++)
        {
            parent.FrameSpan(frame)[0] = 1;
        }

        parent.Freeze().Dispose();
        for (ulong frame = 0; frame < 8_400; frame += 2)
        {
            parent.FrameSpan(frame)[0] = 2;
        }

        using GuestMemory copy = CopyOf(parent);
        for (ulong frame = 0; frame < 8_402; frame++)
        {
            Assert.Equal(frame % 2 == 0 && frame < 8_400 ? 2 : 1, copy.FrameSpan(frame)[0]);
        }
    }

    [Fact]
    public void Memory_of_another_size_is_refused()
    {
        using GuestMemory parent = new(0, 16);
        using GuestMemory other = new(0, 17);
        Assert.Throws<InvalidDataException>(() => other.Adopt(parent.Freeze()));
    }

    /// <summary>A window whose first frame of memory begins with 0x55, and in which all else is zero.</summary>
    private static GuestMemory Make(MappingKind kind, ulong firstFrame, long frames, (ulong First, ulong Count) ram)
    {
        GuestMemory memory = new(firstFrame, frames);
        memory.AddRam(ram.First, ram.Count);
        memory.FrameSpan(ram.First)[..2].Fill((byte)(kind == MappingKind.AdoptedWithDelta ? 0x33 : 0x55));
        if (kind == MappingKind.Shared)
        {
            return memory;
        }

        // In the base only: what is behind frames that are no memory any more.
        ulong gone = ram.First + ram.Count + 12;
        bool isRoom = gone + 8 <= firstFrame + (ulong)frames;
        if (isRoom)
        {
            memory.AddRam(gone, 8);
            memory.FrameSpan(gone + 1).Fill(0x77);
        }

        memory.Freeze().Dispose();
        if (isRoom)
        {
            for (ulong frame = gone; frame < gone + 8; frame++)
            {
                memory.RemoveRam(frame);
            }
        }

        if (kind == MappingKind.AdoptedWithDelta)
        {
            memory.FrameSpan(ram.First)[..2].Fill(0x55);
        }

        if (kind == MappingKind.Frozen)
        {
            return memory;
        }

        using (memory)
        {
            return CopyOf(memory);
        }
    }

    private static GuestMemory CopyOf(GuestMemory memory)
    {
        GuestMemory copy = new(memory.FirstFrame, (long)memory.FrameCount);
        for (ulong frame = memory.FirstFrame; frame < memory.FirstFrame + memory.FrameCount; frame++)
        {
            if (memory.IsRam(frame))
            {
                copy.AddRam(frame, 1);
            }
        }

        copy.Adopt(memory.Freeze());
        return copy;
    }
}
