using System.Buffers.Binary;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Mmu;

public sealed class MemoryHypercallTests
{
    [Fact]
    public void A_balloon_goes_down_and_up_again()
    {
        using BuiltGuest guest = new(maximum: 2100);
        ulong[] frames = [.. Enumerable.Range(0, 100).Select(guest.FreeFrame)];
        guest.Poke(frames[5], 9, 0x1234);
        Assert.Equal(100, guest.Reserve(MemoryOperation.DecreaseReservation, frames));
        Assert.Equal(1948UL, guest.Space.TotalPages);
        Assert.Equal(ulong.MaxValue, guest.Space.GetM2P(frames[5]));
        Assert.False(guest.Memory.IsRam(frames[5]));
        Assert.Equal(-Errno.Busy, guest.UpdateVa(guest.MappedPage(0), (frames[5] << 12) | PageTableEntry.Present));

        ulong[] pfns = [.. Enumerable.Range(0, 160).Select(i => 10_000UL + (ulong)i)];
        Assert.Equal(152, guest.Reserve(MemoryOperation.PopulatePhysmap, pfns));
        Assert.Equal(2100UL, guest.Space.TotalPages);
        for (int i = 0; i < 152; i++)
        {
            Assert.Equal(10_000UL + (ulong)i, guest.Space.GetM2P(pfns[i]));
            Assert.Equal(0UL, guest.Peek(pfns[i], 9));
        }

        Assert.Equal(10_152UL, pfns[152]);
        Assert.Equal(152, pfns.Take(152).Distinct().Count());
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void A_mapped_frame_leaves_with_its_last_mapping()
    {
        using BuiltGuest guest = new();
        ulong address = guest.MappedPage(0);
        ulong frame = guest.FrameAt(address);
        Assert.Equal(1, guest.Reserve(MemoryOperation.DecreaseReservation, [frame]));
        Assert.Equal(2048UL, guest.Space.TotalPages);
        Assert.Equal(0, guest.Reserve(MemoryOperation.DecreaseReservation, [frame]));
        Assert.Equal(0, guest.UpdateVa(address, 0));
        Assert.Equal(2047UL, guest.Space.TotalPages);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void Extents_are_aligned_runs()
    {
        using BuiltGuest guest = new(maximum: 4096);
        Span<ulong> extents = [20_000];
        Assert.Equal(1, guest.Reserve(MemoryOperation.PopulatePhysmap, extents, order: 9));
        Assert.Equal(0UL, extents[0] % 512);
        Assert.Equal(20_511UL, guest.Space.GetM2P(extents[0] + 511));
        Assert.Equal(0, guest.Reserve(MemoryOperation.PopulatePhysmap, extents, order: 10));
        Assert.Equal(1, guest.Reserve(MemoryOperation.DecreaseReservation, extents, order: 9));
        Assert.Equal(2048UL, guest.Space.TotalPages);
    }

    [Fact]
    public void Single_frames_are_exchanged_for_a_run()
    {
        using BuiltGuest guest = new();
        ulong inList = guest.Arguments + 0x1000;
        ulong outList = guest.Arguments + 0x3000;
        for (ulong i = 0; i < 512; i++)
        {
            Assert.True(guest.Vcpu.Guest.TryWrite(inList + (i * 8), guest.FreeFrame((int)i)));
        }

        Assert.True(guest.Vcpu.Guest.TryWrite(outList, 1500UL));
        guest.Put(inList, 512, 0, DomainId.Self.Value, outList, 1, 9, DomainId.Self.Value, 0);
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.Exchange, guest.Arguments));
        Assert.True(guest.Vcpu.Guest.TryRead(outList, out ulong run));
        Assert.Equal(0UL, run % 512);
        Assert.Equal(1511UL, guest.Space.GetM2P(run + 11));
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments + 64, out ulong exchanged));
        Assert.Equal(512UL, exchanged);
        Assert.Equal(2048UL, guest.Space.TotalPages);
        MmuInvariants.Check(guest);
    }

    [Fact]
    public void An_exchange_that_fails_keeps_the_frames()
    {
        using BuiltGuest guest = new();
        ulong inList = guest.Arguments + 0x1000;
        ulong outList = guest.Arguments + 0x3000;
        ulong mapped = guest.FrameAt(guest.MappedPage(0));
        foreach (ulong last in (ulong[])[mapped, guest.FreeFrame(0), 0x77, ulong.MaxValue])
        {
            // The second frame is mapped, the same again, or none.
            Assert.True(guest.Vcpu.Guest.TryWrite(inList, guest.FreeFrame(0)));
            Assert.True(guest.Vcpu.Guest.TryWrite(inList + 8, last));
            guest.Put(inList, 2, 0, DomainId.Self.Value, outList, 1, 1, DomainId.Self.Value, 0);
            Assert.Equal(-Errno.Invalid, guest.MemoryOp(MemoryOperation.Exchange, guest.Arguments));
            MmuInvariants.Check(guest);
        }

        guest.Put(inList, 2, 10, DomainId.Self.Value, outList, 2, 10, DomainId.Self.Value, 0);
        Assert.Equal(-Errno.Perm, guest.MemoryOp(MemoryOperation.Exchange, guest.Arguments));
        guest.Put(inList, 2, 0, DomainId.Self.Value, outList, 2, 1, DomainId.Self.Value, 0);
        Assert.Equal(-Errno.Invalid, guest.MemoryOp(MemoryOperation.Exchange, guest.Arguments));
    }

    [Fact]
    public void The_memory_map_is_the_maximum_until_the_guest_sets_its_own()
    {
        using BuiltGuest guest = new(maximum: 4096);
        ulong buffer = guest.Arguments + 256;
        guest.Put(128, buffer);
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.MemoryMap, guest.Arguments));
        Span<byte> map = stackalloc byte[20];
        Assert.True(guest.Vcpu.Guest.TryRead(buffer, map));
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(map));
        Assert.Equal(4096UL << 12, BinaryPrimitives.ReadUInt64LittleEndian(map[8..]));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(map[16..]));
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments, out uint entries));
        Assert.Equal(1u, entries);

        map[8] = 7;
        Assert.True(guest.Vcpu.Guest.TryWrite(buffer, map));
        guest.Put(DomainId.Self.Value, 1, buffer);
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.SetMemoryMap, guest.Arguments));
        guest.Put(1, buffer + 100);
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.MemoryMap, guest.Arguments));
        Assert.True(guest.Vcpu.Guest.TryRead(buffer + 108, out byte changed));
        Assert.Equal(7, changed);
        guest.Put(DomainId.Self.Value, 1025, buffer);
        Assert.Equal(-Errno.Invalid, guest.MemoryOp(MemoryOperation.SetMemoryMap, guest.Arguments));
    }

    [Fact]
    public void Reservations_and_the_m2p_tables_place_are_told()
    {
        using BuiltGuest guest = new(maximum: 4096);
        guest.Put(DomainId.Self.Value);
        Assert.Equal(2048, guest.MemoryOp(MemoryOperation.CurrentReservation, guest.Arguments));
        Assert.Equal(4096, guest.MemoryOp(MemoryOperation.MaximumReservation, guest.Arguments));
        Assert.Equal(-Errno.Fault, guest.MemoryOp(MemoryOperation.CurrentReservation, 0));
        guest.Put(5);
        Assert.Equal(-Errno.NoSuchProcess, guest.MemoryOp(MemoryOperation.CurrentReservation, guest.Arguments));
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.MachineToPhysicalMapping, guest.Arguments));
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments, out ulong start));
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments + 16, out ulong last));
        Assert.Equal(AddressSpaceLayout.MachineToPhysicalStart, start);
        Assert.True(guest.Vcpu.Guest.TryTranslate(start + (last * 8), PageFaultErrors.None, out _));
        Assert.False(guest.Vcpu.Guest.TryTranslate(start + (last * 8), PageFaultErrors.Write, out _));

        guest.Put(64, guest.Arguments + 256, 0);
        Assert.Equal(0, guest.MemoryOp(MemoryOperation.MachineToPhysicalFrames, guest.Arguments));
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments + 16, out uint extents));
        Assert.Equal(5u, extents);
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Arguments + 256 + 32, out ulong first));
        Assert.Equal(guest.Space.FirstM2PFrame, first);
    }

    [Theory]
    [InlineData(MemoryOperation.AddToPhysmap, -Errno.Access)]
    [InlineData(MemoryOperation.ClaimPages, -Errno.Perm)]
    [InlineData(MemoryOperation.MachineMemoryMap, -Errno.Perm)]
    [InlineData(MemoryOperation.VirtualNumaInfo, -Errno.NotSupported)]
    [InlineData(MemoryOperation.SharingFreedPages, 0)]
    [InlineData((MemoryOperation)60, -Errno.NoSystemCall)]
    public void What_a_pv_domain_may_not_do_is_refused_by_name(MemoryOperation operation, int result)
    {
        using BuiltGuest guest = new();
        Assert.Equal(result, guest.MemoryOp(operation, guest.Arguments));
    }

    [Fact]
    public void The_m2p_entry_of_a_frame_is_the_guests_to_set()
    {
        using BuiltGuest guest = new();
        ulong frame = guest.FreeFrame(0);
        Assert.Equal(0, guest.MmuUpdate((frame << 12) | (ulong)MmuUpdateCommand.MachineToPhysical, 77));
        Assert.True(guest.Vcpu.Guest.TryRead(AddressSpaceLayout.MachineToPhysicalStart + (frame * 8), out ulong pfn));
        Assert.Equal(77UL, pfn);
        Assert.Equal(-Errno.Invalid, guest.MmuUpdate((guest.Space.FirstM2PFrame << 12) | (ulong)MmuUpdateCommand.MachineToPhysical, 77));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2048, 1)]
    [InlineData(100_000, 32)]
    [InlineData(4 << 20, 32)]
    public void The_window_holds_all_its_tables(int pages, int vcpus)
    {
        MachineSpace space = MachineSpace.Create((ulong)pages, vcpus);
        try
        {
            Assert.Equal((ulong)pages, space.BuiltMaximum);
            Assert.True(space.TryGet(space.EndFrame - 1, out _));
            space.SetM2P(space.EndFrame - 1, 4711);
            Assert.Equal(4711UL, space.GetM2P(space.EndFrame - 1));
            Assert.True(space.TryGet(space.FirstM2PFrame, out int index));
            Assert.Equal(FrameOwner.Hypervisor, space[index].Owner);
        }
        finally
        {
            space.Memory.Dispose();
        }
    }
}
