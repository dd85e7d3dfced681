using Shinano.Cpu;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>Which changes of page tables are known when a vCPU flushes, and that it drops what they concern and no more.</summary>
public sealed class FlushChangedTests
{
    private const ulong Present = PageTableEntry.Present;
    private const ulong Data = Present | PageTableEntry.Writable;
    private const ulong Accessed = PageTableEntry.Accessed;
    private const ulong Dirty = PageTableEntry.Dirty;
    private const ulong Frame = 0x1234;
    private const ulong Entry = Frame << 12;

    private readonly FrameFilter _filter = new();

    [Theory]
    [InlineData(Entry | Data, Entry | Present, true)]
    [InlineData(Entry | Data, 0, true)]
    [InlineData(Entry | Data, (Frame + 1) << 12 | Data, true)]
    [InlineData(Entry | Present, Entry | Data, true)]
    [InlineData(Entry | Data | Accessed, Entry | Data, true)]
    [InlineData(Entry | Data | Accessed | Dirty, Entry | Data | Accessed, true)]
    [InlineData(Entry | Data, Entry | Data | Accessed | Dirty, false)]
    [InlineData(Entry | Data, Entry | Data, false)]
    [InlineData(0, Entry | Data, false)]
    public void A_change_that_a_guest_could_tell_is_noted(ulong old, ulong value, bool isNoted)
    {
        LeafChanges changes = new();
        changes.Note(old, value);
        Assert.True(changes.TryCollect(0, _filter));
        Assert.Equal(isNoted, _filter.MayContain(Frame));
        Assert.Equal(!isNoted, _filter.IsEmpty);
    }

    [Fact]
    public void Changes_are_forgotten_when_they_are_too_many()
    {
        LeafChanges changes = new();
        changes.Note(Entry | Data, 0);
        long first = changes.Count;
        for (ulong i = 1; i <= 4096; i++)
        {
            changes.Note(((Frame + i) << 12) | Data, 0);
        }

        Assert.False(changes.TryCollect(0, _filter));
        Assert.True(changes.TryCollect(first, _filter));
        Assert.False(_filter.TryList(out _));
        Assert.True(_filter.MayContain(Frame + 4096));
    }

    [Fact]
    public void A_table_that_goes_takes_its_pages_with_it_or_everything()
    {
        using GuestMemory memory = new(0x100, 64);
        memory.AddRam(0x100, 64);
        LeafChanges changes = new();
        memory.TryWriteUInt64(0x101UL << 12, (0x102UL << 12) | Data);
        memory.TryWriteUInt64((0x102UL << 12) + 8, Entry | Data);
        memory.TryWriteUInt64((0x102UL << 12) + 16, (Frame + 1) << 12);
        changes.NoteTable(memory, 0x101, level: 2);
        Assert.True(changes.TryCollect(0, _filter));
        Assert.True(_filter.TryList(out ReadOnlySpan<ulong> frames));
        Assert.Equal([Frame], frames.ToArray());

        for (ulong i = 0; i < 8; i++)
        {
            memory.TryWriteUInt64((0x103UL << 12) + (8 * i), (0x102UL << 12) | Data);
        }

        long before = changes.Count;
        changes.NoteTable(memory, 0x103, level: 2);
        Assert.False(changes.TryCollect(before, _filter));
        Assert.True(changes.TryCollect(changes.Count, _filter));
    }

    /// <summary>A flush of its own, and one that another vCPU asks for.</summary>
    [Theory]
    [InlineData(0, MmuExtendedCommand.FlushLocal)]
    [InlineData(1, MmuExtendedCommand.FlushAll)]
    public void A_vcpu_drops_what_changed_since_its_last_flush_and_once(int vcpu, MmuExtendedCommand command)
    {
        using BuiltGuest guest = new(vcpus: 2);
        PvVcpu flushed = guest.Domain.Vcpus[vcpu];
        ScriptedCpu cpu = (ScriptedCpu)flushed.Cpu;
        guest.Extended(command, 0);
        flushed.HeedCall();

        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Present));
        cpu.ChangedFlushes.Clear();
        int flushes = cpu.Flushes;
        Assert.Equal(0, guest.Extended(command, 0));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.FlushAll, 0));
        Assert.Empty(cpu.ChangedFlushes);
        cpu.Run(out CpuExit exit);
        Assert.Equal(CpuExitKind.Kicked, exit.Kind);
        flushed.HeedCall();
        Assert.Equal([(0, true), (1, true)], cpu.ChangedFlushes);
        Assert.Equal([frame], cpu.ChangedFrames);
        Assert.Equal(flushes, cpu.Flushes);
        Assert.False(cpu.TakeCall());

        guest.Extended(command, 0);
        flushed.HeedCall();
        Assert.Empty(cpu.ChangedFrames);
    }

    [Fact]
    public void Translations_are_not_used_while_a_flush_is_due()
    {
        using BuiltGuest guest = new(cpu: memory => new LyingCpu());
        Assert.True(guest.Vcpu.Guest.TryTranslate(guest.MappedPage(0), PageFaultErrors.None, out ulong stale));
        Assert.Equal(LyingCpu.Answer, stale);
        guest.Mmu.Flushes.FlushChanged(1);
        Assert.True(guest.Vcpu.Guest.TryTranslate(guest.MappedPage(0), PageFaultErrors.None, out ulong walked));
        Assert.NotEqual(LyingCpu.Answer, walked);
    }

    /// <summary>A CPU that holds one translation for everything.</summary>
    private sealed class LyingCpu : VirtualCpu
    {
        public const ulong Answer = 0xABC000;

        public override ulong InstructionCount => 0;

        public override IReadOnlyList<CpuCounter> ReadCounters() => [];

        public override void FlushTranslations()
        {
        }

        public override void FlushContext(int context)
        {
        }

        public override void FlushPage(ulong linear)
        {
        }

        protected override bool TryLookAsideCore(int context, ulong linear, bool write, out ulong physical)
        {
            physical = Answer;
            return true;
        }

        protected override void RunCore(ref CpuExit exit)
        {
        }
    }
}
