using CsCheck;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Tests;

/// <summary>Walks with a cache against walks without one, over tables of random entries that point at each other.</summary>
public sealed class PagingStructureCacheTests
{
    private const ulong FirstFrame = 0x100;
    private const int Frames = 16;

    /// <summary>Entries of a table that are used: the first ones, and those of the upper half.</summary>
    private static readonly int[] Indices = [0, 1, 510, 511];

    private static readonly PageFaultErrors[] Accesses = [PageFaultErrors.None, PageFaultErrors.Write, PageFaultErrors.InstructionFetch];

    [Fact]
    public void A_walk_with_a_cache_finds_what_one_without_finds_as_long_as_the_cache_is_cleared_at_changes() => Gen.Int[0, int.MaxValue].Sample(
        seed =>
        {
            Random random = new(seed);
            using GuestMemory memory = new(FirstFrame, Frames);
            memory.AddRam(FirstFrame, Frames - 1);
            PagingStructureCache cache = new();
            for (int round = 0; round < 4; round++)
            {
                cache.Clear();
                ChangeTables(memory, random, round == 0 ? Frames * Indices.Length : 8);
                for (int walk = 0; walk < 200; walk++)
                {
                    PageWalker.Context context = new(
                        (FirstFrame + (ulong)random.Next(2)) << GuestMemory.PageShift, random.Next(2) == 0, random.Next(4) > 0, random.Next(4) > 0);
                    ulong linear = Address(random);
                    PageFaultErrors access = Accesses[random.Next(Accesses.Length)];
                    bool isFound = PageWalker.TryTranslate(memory, context, linear, access, out PageWalker.Translation translation, out PageFaultErrors error);
                    bool isFoundAgain = PageWalker.TryTranslate(memory, context, linear, access, out PageWalker.Translation again, out PageFaultErrors errorAgain, cache);
                    Assert.Equal((isFound, translation, error), (isFoundAgain, again, errorAgain));
                }
            }
        },
        iter: 300);

    [Fact]
    public void A_walk_that_is_not_the_first_reads_the_last_table_alone()
    {
        using GuestMemory memory = new(FirstFrame, Frames);
        memory.AddRam(FirstFrame, Frames);
        for (ulong level = 0; level < 4; level++)
        {
            Assert.True(memory.TryWriteUInt64((FirstFrame + level) << GuestMemory.PageShift, ((FirstFrame + level + 1) << GuestMemory.PageShift) | PageTableEntry.Present));
        }

        PagingStructureCache cache = new();
        PageWalker.Context context = new(FirstFrame << GuestMemory.PageShift, User: false, WriteProtect: true, NoExecute: true);
        Assert.True(PageWalker.TryTranslate(memory, context, 0, PageFaultErrors.None, out PageWalker.Translation first, out _, cache));
        Assert.True(memory.TryReadUInt64(FirstFrame << GuestMemory.PageShift, out ulong root));
        Assert.NotEqual(0UL, root & PageTableEntry.Accessed);
        Assert.True(memory.TryWriteUInt64(FirstFrame << GuestMemory.PageShift, 0));
        Assert.True(PageWalker.TryTranslate(memory, context, 0, PageFaultErrors.None, out PageWalker.Translation second, out _, cache));
        Assert.Equal(first, second);
        Assert.False(PageWalker.TryTranslate(memory, context with { Root = context.Root + GuestMemory.PageSize }, 1UL << 30, PageFaultErrors.None, out _, out _, cache));
        cache.Clear();
        Assert.False(PageWalker.TryTranslate(memory, context, 0, PageFaultErrors.None, out _, out _, cache));
    }

    private static ulong Address(Random random)
    {
        ulong address = (ulong)random.Next(GuestMemory.PageSize);
        for (int level = 1; level <= 4; level++)
        {
            address |= (ulong)Indices[random.Next(Indices.Length)] << (3 + (9 * level));
        }

        return (ulong)((long)(address << 16) >> 16);
    }

    private static void ChangeTables(GuestMemory memory, Random random, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ulong table = (FirstFrame + (ulong)random.Next(Frames - 1)) << GuestMemory.PageShift;

            // Mostly present and permissive, so that walks get somewhere; the window's last frame is no memory.
            ulong entry = ((FirstFrame + (ulong)random.Next(Frames)) << GuestMemory.PageShift)
                | (random.Next(10) > 0 ? PageTableEntry.Present : 0)
                | (random.Next(4) > 0 ? PageTableEntry.Writable : 0)
                | (random.Next(4) > 0 ? PageTableEntry.User : 0)
                | (random.Next(12) == 0 ? PageTableEntry.LargePage : 0)
                | (random.Next(6) == 0 ? PageTableEntry.NoExecute : 0)
                | (random.Next(2) == 0 ? PageTableEntry.Accessed : 0)
                | (random.Next(2) == 0 ? PageTableEntry.Dirty : 0);
            Assert.True(memory.TryWriteUInt64(table + ((ulong)Indices[random.Next(Indices.Length)] * 8), entry));
        }
    }
}
