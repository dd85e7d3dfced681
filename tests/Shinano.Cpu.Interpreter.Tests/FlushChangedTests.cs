using static Iced.Intel.AssemblerRegisters;

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary><see cref="VirtualCpu.FlushChanged"/>: what changed is dropped, whatever else the tables hold, and what did not may stay.</summary>
public sealed class FlushChangedTests
{
    private const ulong Low = 0x5000_0000;
    private const ulong High = 0xFFFF_8880_0000_0000;

    /// <summary>As far apart as pages that share a slot of the look-aside tables.</summary>
    private const ulong SameSlot = 4096UL << 12;

    [Theory]
    [InlineData(Low)]
    [InlineData(High)]
    public void What_changed_goes_and_the_rest_needs_no_walk(ulong address)
    {
        using GuestProgram guest = new();
        ulong[] frames = [guest.AllocateFrame(), guest.AllocateFrame(), guest.AllocateFrame()];
        FrameFilter changed = new();
        Map(guest, address, frames[0]);
        Map(guest, address + 0x1000, frames[1]);
        Assert.Equal(frames[0], Load(guest, address));
        Assert.Equal(frames[1], Load(guest, address + 0x1000));

        Map(guest, address, frames[2]);
        guest.Cpu.FlushChanged(0, changed, keepsLowerHalf: true);
        Assert.Equal(frames[0], Load(guest, address));

        changed.Add(frames[0]);
        guest.Cpu.FlushChanged(0, changed, keepsLowerHalf: true);
        long walks = Walks(guest);
        Assert.Equal(frames[1], Load(guest, address + 0x1000));
        Assert.Equal(walks, Walks(guest));
        Assert.Equal(frames[2], Load(guest, address));
        Assert.NotEqual(walks, Walks(guest));
    }

    [Fact]
    public void Another_root_keeps_the_upper_half_alone()
    {
        using GuestProgram guest = new();
        ulong[] frames = [guest.AllocateFrame(), guest.AllocateFrame(), guest.AllocateFrame()];
        Map(guest, Low, frames[0]);
        Map(guest, High + 0x1000, frames[1]);
        Load(guest, Low);
        Load(guest, High + 0x1000);
        Map(guest, Low, frames[2]);
        Map(guest, High + 0x1000, frames[2]);
        guest.Cpu.FlushChanged(0, new FrameFilter(), keepsLowerHalf: false);
        Assert.Equal(frames[2], Load(guest, Low));
        Assert.Equal(frames[1], Load(guest, High + 0x1000));
    }

    /// <summary>Aliases, pages that share a slot, pages that are executed, more changes than are listed: after each flush everything is as the page tables say.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Any_sequence_of_changes_and_flushes_agrees_with_the_page_tables(int seed)
    {
        Random random = new(seed);
        using GuestProgram guest = new();
        ulong[] frames = [.. Enumerable.Range(0, 40).Select(_ => NewFrame(guest))];
        ulong[] pages =
        [
            .. from start in (ulong[])[Low, High]
               from slot in Enumerable.Range(0, 6)
               from round in Enumerable.Range(0, 3)
               select start + ((ulong)slot << 12) + ((ulong)round * SameSlot),
        ];
        FrameFilter changed = new();
        Dictionary<ulong, ulong> mapped = [];
        foreach (ulong page in pages)
        {
            mapped[page] = frames[random.Next(frames.Length)];
            Map(guest, page, mapped[page], isNew: false);
        }

        for (int round = 0; round < 400; round++)
        {
            changed.Clear();
            bool keepsLowerHalf = random.Next(3) != 0;
            for (int change = random.Next(4); change > 0; change--)
            {
                ulong page = pages[random.Next(pages.Length)];
                changed.Add(mapped[page]);
                mapped[page] = frames[random.Next(frames.Length)];
                Map(guest, page, mapped[page], isNew: false);
            }

            for (ulong other = random.Next(20) == 0 ? 600UL : 0; other > 0; other--)
            {
                changed.Add(1_000_000 + other);
            }

            if (random.Next(10) == 0)
            {
                guest.Cpu.FlushPage(pages[random.Next(pages.Length)]);
            }

            guest.Cpu.FlushChanged(0, changed, keepsLowerHalf);
            for (int access = 0; access < 6; access++)
            {
                ulong page = pages[random.Next(pages.Length)];
                switch (random.Next(3))
                {
                    case 0:
                        Assert.Equal(mapped[page], Load(guest, page));
                        break;
                    case 1:
                        ulong value = (ulong)random.NextInt64();
                        Store(guest, page + 16, value);
                        Assert.True(guest.Memory.TryReadUInt64((mapped[page] << 12) + 16, out ulong stored));
                        Assert.Equal(value, stored);
                        break;
                    default:
                        Assert.Equal(mapped[page], Call(guest, page + 0x100));
                        break;
                }
            }
        }
    }

    /// <summary>A frame that holds its own number, and code that returns it.</summary>
    private static ulong NewFrame(GuestProgram guest)
    {
        ulong frame = guest.AllocateFrame();
        ulong scratch = Low + 0x10_0000;
        guest.Map(scratch, frame);
        guest.WriteUInt64(scratch, frame);
        guest.Assemble(scratch + 0x100, a => a.mov(rax, frame));
        return frame;
    }

    private static void Map(GuestProgram guest, ulong page, ulong frame, bool isNew = true)
    {
        guest.Map(page, frame);
        if (isNew)
        {
            guest.WriteUInt64(page, frame);
        }
    }

    private static ulong Load(GuestProgram guest, ulong address)
    {
        guest.Rsi = address;
        GuestProgram.AssertSyscall(guest.Run(a => a.mov(rax, __qword_ptr[rsi])));
        return guest.Rax;
    }

    private static void Store(GuestProgram guest, ulong address, ulong value)
    {
        guest.Rsi = address;
        guest.Rbx = value;
        GuestProgram.AssertSyscall(guest.Run(a => a.mov(__qword_ptr[rsi], rbx)));
    }

    /// <summary>Goes to code often enough for every engine to remember it.</summary>
    private static ulong Call(GuestProgram guest, ulong address)
    {
        for (int i = 0; i < 3; i++)
        {
            guest.Rsi = address;
            GuestProgram.AssertSyscall(guest.Run(a => a.jmp(rsi)));
        }

        return guest.Rax;
    }

    private static long Walks(GuestProgram guest) =>
        guest.Cpu.ReadCounters().Single(counter => counter.Name == CpuCounterNames.PageWalks).Value;
}
