using Shinano.Cpu;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Mmu;

public sealed unsafe class PageTypesTests
{
    private const ulong Present = PageTableEntry.Present;
    private const ulong Table = Present | PageTableEntry.Writable | PageTableEntry.User;
    private const ulong Data = Present | PageTableEntry.Writable;

    [Fact]
    public void A_new_domain_is_in_order()
    {
        using BuiltGuest guest = new();
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void A_frame_mapped_writable_becomes_no_page_table_and_the_other_way_round()
    {
        using BuiltGuest guest = new();
        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.PinL1Table, frame));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Present));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL1Table, frame));
        Assert.Equal(-Errno.Busy, guest.UpdateVa(address, (frame << 12) | Data));
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.PinL2Table, frame));
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.PinL1Table, frame));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.UnpinTable, frame));
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.UnpinTable, frame));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Data));
        MmuInvariants.Check(guest);
    }

    [Theory]
    [InlineData(1, PageTableEntry.WriteThrough, false)]
    [InlineData(1, PageTableEntry.CacheDisable, false)]
    [InlineData(1, PageTableEntry.LargePage, false)]
    [InlineData(1, PageTableEntry.Global, true)]
    [InlineData(1, 1UL << 62, true)]
    [InlineData(1, PageTableEntry.NoExecute, true)]
    [InlineData(2, PageTableEntry.WriteThrough, false)]
    [InlineData(2, PageTableEntry.LargePage, false)]
    [InlineData(2, PageTableEntry.Global, false)]
    [InlineData(2, 1UL << 9, true)]
    [InlineData(3, PageTableEntry.LargePage, false)]
    [InlineData(4, PageTableEntry.LargePage, false)]
    public void Entries_have_only_the_bits_of_their_level(int level, ulong bits, bool isAllowed)
    {
        using BuiltGuest guest = new();
        ulong table = guest.FreeFrame(0);
        ulong target = guest.FreeFrame(1);
        guest.Poke(table, 7, (target << 12) | Present | bits);
        MmuExtendedCommand pin = MmuExtendedCommand.PinL1Table + (uint)(level - 1);
        Assert.Equal(isAllowed ? 0 : -Errno.Invalid, guest.Extended(pin, table));

        ulong other = guest.FreeFrame(2);
        Assert.Equal(0, guest.Extended(pin, other));
        Assert.Equal(isAllowed ? 0 : -Errno.Invalid, guest.MmuUpdate((other << 12) + 8, (target << 12) | Present | bits));
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void Supervisor_pages_become_user_pages_that_only_the_guests_kernel_calls_its_own()
    {
        using BuiltGuest guest = new();
        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Data));
        Assert.Equal((frame << 12) | Data | PageTableEntry.User | (1UL << 52), guest.EntryAt(address));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Data | PageTableEntry.User));
        Assert.Equal((frame << 12) | Data | PageTableEntry.User | PageTableEntry.Global, guest.EntryAt(address));
    }

    [Fact]
    public void Frames_that_are_not_the_guests_are_refused_by_their_kind()
    {
        using BuiltGuest guest = new(maximum: 4096);
        ulong address = guest.MappedPage(0);
        ulong unowned = MachineSpace.FirstFrame + 3000;
        Assert.Equal(-Errno.Perm, guest.UpdateVa(address, (0x1234UL << 12) | Present));
        Assert.Equal(-Errno.Invalid, guest.UpdateVa(address, PageTableEntry.AddressMask | Present));
        Assert.Equal(-Errno.Busy, guest.UpdateVa(address, (guest.Space.FirstM2PFrame << 12) | Present));
        Assert.Equal(-Errno.Busy, guest.UpdateVa(address, (unowned << 12) | Present));
        Assert.Equal(0, guest.UpdateVa(address, guest.Domain.SharedInfoFrame.Address | Data));
        foreach (ulong frame in (ulong[])[0x1234, guest.Space.FirstM2PFrame, unowned, guest.Domain.SharedInfoFrame.Value, ulong.MaxValue, 1UL << 40])
        {
            Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.PinL1Table, frame));
            Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.NewBasePointer, frame));
        }

        MmuInvariants.Check(guest);
    }

    [Fact]
    public void A_table_that_fails_its_check_leaves_no_trace()
    {
        using BuiltGuest guest = new();
        ulong l2 = guest.FreeFrame(0);
        for (int i = 0; i < 5; i++)
        {
            ulong l1 = guest.FreeFrame(1 + i);
            guest.Poke(l2, i, (l1 << 12) | Table);
            guest.Poke(l1, 3, (guest.FreeFrame(10) << 12) | Data);
        }

        guest.Poke(guest.FreeFrame(5), 511, (guest.Space.FirstM2PFrame << 12) | Data);
        Assert.Equal(-Errno.Busy, guest.Extended(MmuExtendedCommand.PinL2Table, l2));
        MmuInvariants.Check(guest);
        for (int i = 0; i <= 10; i++)
        {
            Assert.Equal(0u, guest.Info(guest.FreeFrame(i)).References);
        }

        guest.Poke(guest.FreeFrame(5), 511, 0);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL2Table, l2));
        Assert.Equal(5u, guest.Info(guest.FreeFrame(10)).TypeCount);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void A_table_may_map_tables_of_its_own_level_read_only()
    {
        using BuiltGuest guest = new();
        ulong a = guest.FreeFrame(0);
        ulong b = guest.FreeFrame(1);
        ulong c = guest.FreeFrame(2);
        guest.Poke(a, 511, (a << 12) | Present | PageTableEntry.User);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, a));
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((a << 12) + 8, (a << 12) | Table));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, b));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, c));

        // One that is mapped maps none, and one that maps is not mapped.
        Assert.Equal(0, guest.MmuUpdate((a << 12) + 16, (b << 12) | Present));
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((b << 12) + 16, (c << 12) | Present));
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((c << 12) + 16, (a << 12) | Present));
        MmuInvariants.Check(guest);

        // The mapped table outlives its pin, and goes with the mapping.
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.UnpinTable, b));
        Assert.Equal(FrameType.L4, guest.Info(b).Type);
        MmuInvariants.Check(guest);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.UnpinTable, a));
        Assert.Equal(0u, guest.Info(a).References);
        Assert.Equal(0u, guest.Info(b).References);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void The_hypervisors_slots_are_its_own()
    {
        using BuiltGuest guest = new();
        ulong root = guest.FreeFrame(0);
        guest.Poke(root, AddressSpaceLayout.FirstXenSlot, ulong.MaxValue);
        guest.Poke(root, AddressSpaceLayout.LastXenSlot, ulong.MaxValue);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, root));
        Assert.Equal(0UL, guest.Peek(root, AddressSpaceLayout.FirstXenSlot));
        Assert.Equal(0UL, guest.Peek(root, AddressSpaceLayout.LastXenSlot));
        ulong l3 = guest.FreeFrame(1);
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((root << 12) + (256 * 8), (l3 << 12) | Table));
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((root << 12) + (271 * 8), 0));
        Assert.Equal(0, guest.MmuUpdate((root << 12) + (255 * 8), (l3 << 12) | Table));
        Assert.Equal(0, guest.MmuUpdate((root << 12) + (272 * 8), (l3 << 12) | Table));
        Assert.Equal(-Errno.Invalid, guest.UpdateVa(AddressSpaceLayout.MachineToPhysicalStart + (MachineSpace.FirstFrame * 8), 0));
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void The_m2p_table_shows_from_the_first_use_for_the_kernel_or_strictly_not_to_user_mode()
    {
        using BuiltGuest guest = new();
        ulong root = guest.FreeFrame(0);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, root));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.NewUserBasePointer, root));
        Assert.Equal(0UL, guest.Peek(root, AddressSpaceLayout.FirstXenSlot));
        Assert.NotEqual(0UL, guest.Peek(guest.Result.Root.Value, AddressSpaceLayout.FirstXenSlot));

        Assert.Equal(0, guest.Call(HypercallNumber.VmAssist, 0, (ulong)VmAssistType.StrictM2P));
        ulong strict = guest.FreeFrame(1);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, strict));
        Assert.NotEqual(0UL, guest.Peek(strict, AddressSpaceLayout.FirstXenSlot));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.NewUserBasePointer, strict));
        Assert.Equal(0UL, guest.Peek(strict, AddressSpaceLayout.FirstXenSlot));
    }

    [Fact]
    public void A_new_table_follows_a_flush_of_stale_writable_translations_only()
    {
        using BuiltGuest guest = new();
        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        int before = FlushesOf(guest.Vcpu);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL1Table, guest.FreeFrame(0)));
        Assert.Equal(before, FlushesOf(guest.Vcpu));

        Assert.Equal(0, guest.UpdateVa(address, 0));
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL1Table, frame));
        Assert.Equal(before + 1, FlushesOf(guest.Vcpu));

        // A walk may be in a table that becomes data; data stays data without a flush.
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.UnpinTable, frame));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Data));
        Assert.Equal(before + 2, FlushesOf(guest.Vcpu));
        Assert.Equal(0, guest.UpdateVa(address, 0));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Data));
        Assert.Equal(before + 2, FlushesOf(guest.Vcpu));
    }

    [Fact]
    public void Taking_a_table_out_of_use_reaches_every_vcpu()
    {
        using BuiltGuest guest = new(vcpus: 3);
        int[] before = Flushes();
        ulong l2 = guest.FreeFrame(0);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL2Table, l2));
        Assert.Equal(0, guest.MmuUpdate(l2 << 12, (guest.FreeFrame(1) << 12) | Table));
        Assert.Equal(before, Flushes());
        Assert.Equal(0, guest.MmuUpdate(l2 << 12, 0));
        Assert.Equal(before.Select(n => n + 1), Flushes());

        int[] Flushes() => [.. guest.Domain.Vcpus.Select(FlushesOf)];
    }

    /// <summary>Flushes of everything, and of what changed, that a vCPU has made once it has run.</summary>
    private static int FlushesOf(PvVcpu vcpu)
    {
        const int Contexts = 2;
        ScriptedCpu cpu = (ScriptedCpu)vcpu.Cpu;
        vcpu.HeedCall();
        cpu.Run(out _);
        return cpu.Flushes + (cpu.ChangedFlushes.Count / Contexts);
    }

    [Fact]
    public void Checking_and_releasing_many_tables_goes_in_steps()
    {
        using BuiltGuest guest = new(pages: 4096);
        const int Directories = 5;
        ulong root = guest.FreeFrame(0);
        ulong l3 = guest.FreeFrame(1);
        guest.Poke(root, 0, (l3 << 12) | Table);
        int next = 2;
        for (int d = 0; d < Directories; d++)
        {
            ulong l2 = guest.FreeFrame(next++);
            guest.Poke(l3, d, (l2 << 12) | Table);
            for (int i = 0; i < 512; i++)
            {
                guest.Poke(l2, i, (guest.FreeFrame(next++) << 12) | Table);
            }
        }

        Assert.Equal(0, guest.Extended(MmuExtendedCommand.PinL4Table, root));
        int checking = guest.Restarts;
        Assert.True(checking >= 2, $"{checking} restarts");
        MmuInvariants.Check(guest);
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.UnpinTable, root));
        Assert.True(guest.Restarts - checking >= 2, $"{guest.Restarts - checking} restarts");
        Assert.Equal(0u, guest.Info(guest.FreeFrame(next - 1)).References);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void Descriptor_tables_hold_their_frames_and_show_them_to_the_cpu()
    {
        using BuiltGuest guest = new();
        ulong frame = guest.FreeFrame(0);
        guest.Poke(frame, 1, 0x00CF_9A00_0000_FFFF);
        guest.Put(frame);
        Assert.Equal(0, guest.Call(HypercallNumber.SetGdt, guest.Arguments, 512));
        Assert.Equal(FrameType.Descriptors, guest.Info(frame).Type);

        // Lifted to ring 3, and read where GDTR says.
        Assert.Equal(0x00CF_FA00_0000_FFFFUL, ReadSupervisor(guest, guest.Vcpu.State->Gdtr.Base + 8));
        Assert.Equal(0x00AF_FB00_0000_FFFFUL, ReadSupervisor(guest, guest.Vcpu.State->Gdtr.Base + 0xE030));
        Assert.Equal(0UL, ReadSupervisor(guest, guest.Vcpu.State->Gdtr.Base + 0x1000));
        Assert.False(guest.Vcpu.Guest.TryTranslate(guest.Vcpu.State->Gdtr.Base, PageFaultErrors.None, out _));

        Assert.Equal(-Errno.Busy, guest.UpdateVa(guest.MappedPage(0), (frame << 12) | Data));
        Assert.Equal(0, guest.Call(HypercallNumber.UpdateDescriptor, (frame << 12) + 16, 0x00CF_9200_0000_FFFF));
        Assert.Equal(0x00CF_F200_0000_FFFFUL, guest.Peek(frame, 2));
        Assert.Equal(-Errno.Invalid, guest.Call(HypercallNumber.UpdateDescriptor, (frame << 12) + 16, 0x0000_8900_0000_0067));
        Assert.Equal(-Errno.Invalid, guest.Call(HypercallNumber.UpdateDescriptor, (frame << 12) + 17, 0));
        Assert.Equal(0, guest.Call(HypercallNumber.SetGdt, guest.Arguments, 0));
        Assert.Equal(0u, guest.Info(frame).References);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void An_ldt_page_shows_when_it_is_set_or_when_it_is_first_used()
    {
        using BuiltGuest guest = new();
        PageTableWriteEmulator faults = new(guest.Mmu);
        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        guest.Poke(frame, 1, 0x00CF_F200_0000_FFFF);

        // Still mapped writable: not yet.
        Assert.Equal(0, guest.Extended(MmuExtendedCommand.SetLdt, address, 16));
        ulong ldt = guest.Vcpu.State->Ldtr.Base;
        Assert.Equal(127u, guest.Vcpu.State->Ldtr.Limit);
        Assert.Equal(0u, guest.Info(frame).TypeCount & (guest.Info(frame).Type == FrameType.Descriptors ? uint.MaxValue : 0));
        Assert.Equal(0, guest.UpdateVa(address, (frame << 12) | Present));
        Assert.True(faults.TryEmulate(guest.Vcpu, ldt + 8, PageFaultErrors.None));
        Assert.Equal(0x00CF_F200_0000_FFFFUL, ReadSupervisor(guest, ldt + 8));
        MmuInvariants.Check(guest);

        Assert.Equal(0, guest.Extended(MmuExtendedCommand.SetLdt, 0, 0));
        Assert.Equal(0u, guest.Vcpu.State->Ldtr.Limit);
        Assert.Equal(1u, guest.Info(frame).References);
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.SetLdt, address + 8, 16));
        Assert.Equal(-Errno.Invalid, guest.Extended(MmuExtendedCommand.SetLdt, address, 8193));
        MmuInvariants.Check(guest);
    }

    private static ulong ReadSupervisor(BuiltGuest guest, ulong address)
    {
        PageWalker.Context context = new(guest.Vcpu.KernelRoot, User: false, WriteProtect: true, NoExecute: true);
        Assert.True(PageWalker.TryTranslate(guest.Memory, in context, address, PageFaultErrors.None, out PageWalker.Translation at, out _));
        Assert.True(guest.Memory.TryReadUInt64(at.Physical, out ulong value));
        return value;
    }
}
