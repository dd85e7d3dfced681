using CsCheck;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Tests.Events;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Grants;

public sealed class GrantMappingTests : IDisposable
{
    private const ulong Buffer = ServicesTestDomain.Buffer;
    private const uint HostMap = (uint)GrantMapFlags.Host;

    /// <summary>Two addresses beside the kernel's code, mapped by <see cref="GrantMappingTests"/>.</summary>
    private const ulong Place = 0xFFFF_FFFF_8100_4000;
    private const ulong OtherPlace = 0xFFFF_FFFF_8100_5000;
    private readonly ServicesTestDomain _domain = new();
    private readonly GrantGuest _guest;
    private readonly ulong _page;
    private readonly ulong _other;

    public GrantMappingTests()
    {
        _page = _domain.Base.Allocate();
        _other = _domain.Base.Allocate();
        ulong root = _domain.Vcpu.KernelRoot;
        _domain.Base.Map(root, Place, _other);
        _domain.Base.Map(root, OtherPlace, _other);
        Assert.True(_domain.Grants.TryGrow(1));
        _guest = new GrantGuest(_domain, 1);
        _guest.Grant(9, GrantFlags.PermitAccess, 1, _page);
    }

    public void Dispose() => _domain.Dispose();

    [Fact]
    public void A_grant_to_itself_is_mapped_at_an_address_and_unmapped_by_its_handle()
    {
        (GrantStatus status, uint handle, ulong bus) = Map(9, HostMap, Place);
        Assert.Equal((GrantStatus.Okay, _page << 12), (status, bus));
        Assert.Equal(_page, PageTableEntry.Frame(Entry(Place)));
        Assert.NotEqual(0UL, Entry(Place) & PageTableEntry.Writable);
        Assert.Equal(GrantFlags.Reading | GrantFlags.Writing, _guest.UseOf(9));
        Assert.Equal(GrantStatus.BadHandle, Unmap(handle + 1, Place));
        Assert.Equal(GrantStatus.GeneralError, Unmap(handle, OtherPlace));
        Assert.Equal(GrantStatus.Okay, Unmap(handle, Place));
        Assert.Equal(0UL, Entry(Place));
        Assert.Equal(GrantStatus.BadHandle, Unmap(handle, Place));
        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Fact]
    public void Flags_of_the_mapping_show_in_the_entry()
    {
        ulong entry = EntryAddress(Place);
        uint flags = HostMap | (uint)(GrantMapFlags.ContainsPte | GrantMapFlags.ReadOnly | GrantMapFlags.Application) | (5u << 16);
        (GrantStatus status, uint handle, _) = Map(9, flags, entry);
        Assert.Equal(GrantStatus.Okay, status);
        Assert.Equal(PageTableEntry.Present | PageTableEntry.User | (5UL << 9), Entry(Place) & (PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | (7UL << 9)));
        Assert.Equal(GrantFlags.Reading, _guest.UseOf(9));
        Assert.Equal(GrantStatus.Okay, Unmap(handle, entry));
        Assert.Equal(GrantStatus.GeneralError, Map(9, flags, entry + 1).Status);
        Assert.Equal(GrantStatus.GeneralError, Map(9, HostMap, 0x7777_0000_0000).Status);
        Assert.Equal(0, _domain.Grants.ActiveCount);
    }

    [Fact]
    public void What_is_not_granted_to_itself_is_not_mapped()
    {
        Assert.Equal(GrantStatus.BadReference, Map(9, 0, Place).Status);
        Assert.Equal(GrantStatus.BadReference, Map(512, HostMap, Place).Status);
        Assert.Equal(GrantStatus.GeneralError, Map(10, HostMap, Place).Status);
        Assert.Equal(GrantStatus.BadReference, Map(9, HostMap, Place, domain: 0).Status);
        Assert.Equal(GrantStatus.BadDomain, Map(9, HostMap, Place, domain: 77).Status);
        _guest.Grant(11, GrantFlags.PermitAccess | GrantFlags.SubPage, 1, _page);
        Assert.Equal(GrantStatus.GeneralError, Map(11, HostMap, Place).Status);
        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Fact]
    public void Device_and_host_mappings_are_undone_apart()
    {
        (GrantStatus status, uint handle, ulong bus) = Map(9, HostMap | (uint)GrantMapFlags.Device, Place);
        Assert.Equal(GrantStatus.Okay, status);
        Assert.Equal(GrantStatus.BadDeviceAddress, Unmap(handle, 0, bus + 4096));
        Assert.Equal(GrantStatus.Okay, Unmap(handle, 0, bus));
        Assert.Equal(1, _domain.Grants.ActiveCount);
        Assert.Equal(GrantStatus.Okay, Unmap(handle, Place));
        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Fact]
    public void A_mapping_is_replaced_by_another_page()
    {
        (_, uint handle, _) = Map(9, HostMap, Place);
        _domain.Write(Place, OtherPlace, handle);
        Assert.Equal(0, Operate(GrantTableOp.UnmapAndReplace));
        Assert.Equal((short)0, _domain.Read<short>(20));
        Assert.Equal(_other, PageTableEntry.Frame(Entry(Place)));
        Assert.Equal(0UL, Entry(OtherPlace));
        Assert.Equal(0, _domain.Grants.ActiveCount);
    }

    [Fact]
    public void Copies_go_between_frames_and_grants_inside_a_page()
    {
        Assert.True(_domain.Domain.Memory.TryWrite((_other << 12) + 10, [1, 2, 3, 4]));
        Assert.Equal(GrantStatus.Okay, Copy(_other, 0x7FF0, 10, 9, 1, 4092, 4, flags: 2));
        byte[] bytes = new byte[4];
        Assert.True(_domain.Domain.Memory.TryRead((_page << 12) + 4092, bytes));
        Assert.Equal([1, 2, 3, 4], bytes);
        Assert.Equal(GrantStatus.BadCopyArgument, Copy(_other, 0x7FF0, 10, 9, 1, 4093, 4, flags: 2));
        Assert.Equal(GrantStatus.PermissionDenied, Copy(_other, 1, 10, 9, 1, 0, 4, flags: 2));
        Assert.Equal(GrantStatus.BadDomain, Copy(9, 77, 0, _other, 0x7FF0, 0, 4, flags: 1));
        Assert.Equal(GrantStatus.BadPage, Copy(0x7777_7777, 0x7FF0, 0, _other, 0x7FF0, 0, 4, flags: 0));
        _guest.Grant(9, GrantFlags.PermitAccess | GrantFlags.ReadOnly, 1, _page);
        Assert.Equal(GrantStatus.GeneralError, Copy(_other, 0x7FF0, 10, 9, 1, 0, 4, flags: 2));
        Assert.Equal(GrantStatus.Okay, Copy(9, 0x7FF0, 0, _other, 0x7FF0, 0, 4096, flags: 1));
        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Fact]
    public void A_long_list_is_served_in_parts()
    {
        _domain.Write(new uint[1024]);
        Assert.Equal(HypercallTable.Restart, _domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.SwapGrantRef, Buffer, 100));
        unsafe
        {
            Assert.Equal((Buffer + (64 * 12), 36UL), (_domain.Vcpu.State->Gpr[6], _domain.Vcpu.State->Gpr[2]));
        }
    }

    [Fact]
    public void No_request_throws_or_leaves_a_hold() =>
        Gen.Select(Gen.Int[0, 13], Gen.ULong.Array[5], Gen.Int[0, 0xFFF]).Array[1, 60].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                Assert.True(domain.Grants.TryGrow(1));
                GrantGuest guest = new(domain, 1);
                foreach ((int command, ulong[] words, int shape) in steps)
                {
                    // Small numbers where the shape has a bit, so that operations meet entries, handles and the own domain.
                    ulong[] mixed = [.. words.Select((w, i) => (shape >> i & 1) != 0 ? w % 12 : w)];
                    mixed[2] = (shape & 0x100) != 0 ? (mixed[2] & ~0xFFFFUL) | 1 : mixed[2];
                    guest.Raw((uint)(shape % 12)) = (words[0] & 0xFFFF_FFFF_0000_00FF) | 0x1_0000;
                    domain.Write(mixed);
                    _ = domain.Call(HypercallNumber.GrantTableOp, (ulong)command, Buffer, (ulong)(shape & 3));
                    if (domain.Grants.Version != 1)
                    {
                        guest = new GrantGuest(domain, domain.Grants.Version);
                    }
                }

                Assert.True(domain.Frames.Held <= domain.Grants.ActiveCount * 2);
            },
            iter: 150,
            threads: 1);

    private (GrantStatus Status, uint Handle, ulong Bus) Map(uint reference, uint flags, ulong place, ushort domain = 1)
    {
        _domain.Write(place, flags | ((ulong)reference << 32), domain, 0UL);
        Assert.Equal(0, Operate(GrantTableOp.MapGrantRef));
        return ((GrantStatus)_domain.Read<short>(18), _domain.Read<uint>(20), _domain.Read<ulong>(24));
    }

    private GrantStatus Unmap(uint handle, ulong place, ulong bus = 0)
    {
        _domain.Write(place, bus, handle);
        Assert.Equal(0, Operate(GrantTableOp.UnmapGrantRef));
        return (GrantStatus)_domain.Read<short>(20);
    }

    private GrantStatus Copy(
        ulong source, ushort sourceDomain, ushort sourceOffset, ulong target, ushort targetDomain, ushort targetOffset, ushort length, ushort flags)
    {
        _domain.Write(
            source, sourceDomain | ((ulong)sourceOffset << 16), target, targetDomain | ((ulong)targetOffset << 16), length | ((ulong)flags << 16));
        Assert.Equal(0, Operate(GrantTableOp.Copy));
        return (GrantStatus)_domain.Read<short>(36);
    }

    private long Operate(GrantTableOp operation) => _domain.Call(HypercallNumber.GrantTableOp, (ulong)operation, Buffer, 1);

    private ulong EntryAddress(ulong address)
    {
        Assert.True(_domain.Frames.TryFindEntry(_domain.Vcpu, address, out ulong entry));
        return entry;
    }

    private ulong Entry(ulong address)
    {
        Assert.True(_domain.Domain.Memory.TryReadUInt64(EntryAddress(address), out ulong value));
        return value;
    }
}
