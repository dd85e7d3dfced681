using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.X86;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>The audit finds what it is there to find.</summary>
public sealed class MmuAuditTests
{
    [Fact]
    public void A_writable_mapping_of_a_page_table_is_found()
    {
        using BuiltGuest guest = new();
        Assert.True(guest.Mmu.TryFindEntry(guest.Vcpu.KernelRoot, guest.MappedPage(0), out ulong entry));
        guest.Memory.TryWriteUInt64(entry, guest.Result.Root.Address | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User);
        Assert.Contains("maps frame", MmuAudit.Find(guest.Mmu, out _), StringComparison.Ordinal);
    }

    [Fact]
    public void Uses_that_are_not_counted_are_found()
    {
        using BuiltGuest guest = new();
        guest.Info(guest.FrameAt(guest.MappedPage(0))).TypeCount--;
        Assert.Contains("0 uses and 1 references counted, 1 and 1 there", MmuAudit.Find(guest.Mmu, out _), StringComparison.Ordinal);
    }

    [Fact]
    public void Uses_of_tables_that_are_not_there_are_found()
    {
        using BuiltGuest guest = new();
        ref FrameInfo info = ref guest.Info(guest.Result.Root.Value);
        info.TypeCount++;
        info.References++;
        Assert.Contains("3 uses and 4 references counted, 2 and 3 there", MmuAudit.Find(guest.Mmu, out _), StringComparison.Ordinal);
    }

    [Fact]
    public void A_frame_that_a_subsystem_holds_is_told()
    {
        using BuiltGuest guest = new();
        Assert.Equal(0, guest.Mmu.Types.Acquire(guest.FreeFrame(0), FrameType.Writable));
        Assert.Null(MmuAudit.Find(guest.Mmu, out long holds));
        Assert.Equal(1, holds);
    }
}
