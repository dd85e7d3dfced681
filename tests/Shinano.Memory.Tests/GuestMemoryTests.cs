namespace Shinano.Memory.Tests;

public sealed class GuestMemoryTests
{
    private sealed class Watcher : ICodeWatcher
    {
        public List<(ulong Physical, int Length)> Seen { get; } = [];

        public void CodeWritten(ulong physical, int length) => Seen.Add((physical, length));
    }

    [Fact]
    public void Accessors_refuse_what_is_outside_or_no_memory()
    {
        using GuestMemory memory = new(0x1000, 16);
        memory.AddRam(0x1000, 2);
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

    [Fact]
    public void A_removed_run_comes_back_zeroed_and_its_neighbours_stay()
    {
        using GuestMemory memory = new(16, 8) { CodeWatcher = new Watcher() };
        memory.AddRam(16, 8);
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

    [Fact]
    public void A_removed_frame_comes_back_zeroed()
    {
        using GuestMemory memory = new(16, 4);
        memory.AddRam(17, 1);
        memory.FrameSpan(17).Fill(0xAA);
        memory.RemoveRam(17);
        Assert.False(memory.IsRam(17));
        memory.AddRam(17, 1);
        Assert.Equal(-1, memory.FrameSpan(17).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void Writes_into_code_frames_are_announced_page_by_page()
    {
        Watcher watcher = new();
        using GuestMemory memory = new(0, 4) { CodeWatcher = watcher };
        memory.AddRam(0, 4);
        memory.ChangeFlags(1, FrameFlags.Code, FrameFlags.None);
        memory.TryWrite(0xFFE, [1, 2, 3, 4]);
        memory.TryWriteUInt64(0x2000, 5);
        Assert.Equal([(0x1000UL, 2)], watcher.Seen);
    }
}
