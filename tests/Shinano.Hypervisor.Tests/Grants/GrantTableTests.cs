using CsCheck;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Tests.Events;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Grants;

public sealed class GrantTableTests : IDisposable
{
    private readonly ServicesTestDomain _domain = new();
    private readonly ulong _page;

    public GrantTableTests()
    {
        _page = _domain.Base.Allocate();
        Assert.True(_domain.Grants.TryGrow(1));
    }

    public void Dispose() => _domain.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_back_end_reads_and_writes_what_is_granted_and_its_use_shows(int version)
    {
        GrantGuest guest = new(_domain, version);
        guest.Grant(9, GrantFlags.PermitAccess, 0, _page);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: true, out GrantAccess? access));
        Assert.Equal(GrantFlags.Reading | GrantFlags.Writing, guest.UseOf(9));
        Assert.True(access.TryWrite(4092, [1, 2, 3, 4]));
        Assert.False(access.TryWrite(4093, [1, 2, 3, 4]));
        Assert.False(access.TryRead(-1, new byte[1]));
        byte[] back = new byte[4];
        Assert.True(access.TryRead(4092, back));
        Assert.Equal([1, 2, 3, 4], back);
        access.Dispose();
        access.Dispose();
        Assert.Equal(GrantFlags.None, guest.UseOf(9));
        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Rights_are_the_guests(int version)
    {
        GrantGuest guest = new(_domain, version);
        guest.Grant(9, GrantFlags.PermitAccess | GrantFlags.ReadOnly, 0, _page);
        Assert.False(_domain.Grants.TryAccess(new GrantRef(9), write: true, out _));
        Assert.Equal(GrantFlags.None, guest.UseOf(9));
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: false, out GrantAccess? access));
        Assert.False(access.TryWrite(0, [1]));
        Assert.Equal(GrantFlags.Reading, guest.UseOf(9));
        access.Dispose();

        guest.Grant(10, GrantFlags.PermitAccess, 3, _page);
        guest.Grant(11, GrantFlags.AcceptTransfer, 0, _page);
        guest.Grant(12, GrantFlags.Transitive, 0, _page);
        guest.Grant(13, GrantFlags.None, 0, _page);
        guest.Grant(14, GrantFlags.PermitAccess, 0, 0x7777_7777);
        foreach (uint reference in (uint[])[10, 11, 12, 13, 14, 100_000, uint.MaxValue])
        {
            Assert.False(_domain.Grants.TryAccess(new GrantRef(reference), write: false, out _));
        }

        Assert.Equal((0, 0), (_domain.Grants.ActiveCount, _domain.Frames.Held));
    }

    [Fact]
    public void Several_uses_end_one_by_one()
    {
        GrantGuest guest = new(_domain, 1);
        guest.Grant(9, GrantFlags.PermitAccess, 0, _page);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: false, out GrantAccess? reader));

        // What the entry says now counts for a new kind of use only; the frame stays what it was.
        guest.Frame(9) = 0x123;
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: true, out GrantAccess? writer));
        Assert.Equal(_page << 12, writer.Address);
        Assert.Equal(GrantFlags.Reading | GrantFlags.Writing, guest.UseOf(9));
        writer.Dispose();
        Assert.Equal(GrantFlags.Reading, guest.UseOf(9));
        reader.Dispose();
        Assert.Equal(GrantFlags.None, guest.UseOf(9));
    }

    [Fact]
    public void A_part_of_a_page_is_all_that_is_granted()
    {
        GrantGuest guest = new(_domain, 2);
        guest.GrantPart(9, 0, _page, 100, 50);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: true, out GrantAccess? access));
        Assert.Equal(((_page << 12) + 100, 50), (access.Address, access.Length));
        Assert.False(access.TryWrite(47, [1, 2, 3, 4]));
        access.Dispose();
        guest.GrantPart(9, 0, _page, 60_000, 60_000);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: true, out access));
        Assert.Equal(0, access.Length);
        access.Dispose();
        guest.GrantPart(9, 0, _page, 4000, 60_000);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: true, out access));
        Assert.Equal(96, access.Length);
    }

    [Fact]
    public void The_first_entries_survive_a_change_of_version()
    {
        Assert.True(_domain.Grants.TrySeed(new GrantRef(1), new Mfn(_page)));
        Assert.True(_domain.Grants.TryAccess(new GrantRef(1), write: true, out GrantAccess? access));
        GrantGuest guest = new(_domain, 1);
        guest.Grant(9, GrantFlags.PermitAccess, 0, _page);
        Assert.Equal((0, 2), SetVersion(2));
        Assert.Equal(GrantFlags.Reading | GrantFlags.Writing, new GrantGuest(_domain, 2).UseOf(1));
        Assert.False(_domain.Grants.TryAccess(new GrantRef(9), write: false, out _));
        Assert.Equal((0, 1), SetVersion(1));
        Assert.Equal(GrantFlags.Reading | GrantFlags.Writing, guest.UseOf(1));
        access.Dispose();
        Assert.Equal(GrantFlags.None, guest.UseOf(1));
        Assert.True(_domain.Grants.TryAccess(new GrantRef(1), write: true, out access));
        access.Dispose();
    }

    [Fact]
    public void The_version_does_not_change_under_a_use_or_to_an_unknown_one()
    {
        GrantGuest guest = new(_domain, 1);
        guest.Grant(9, GrantFlags.PermitAccess, 0, _page);
        Assert.True(_domain.Grants.TryAccess(new GrantRef(9), write: false, out GrantAccess? access));
        Assert.Equal((-Errno.Busy, 1), SetVersion(2));
        access.Dispose();
        Assert.Equal((-Errno.Invalid, 1), SetVersion(3));
        Assert.Equal((0, 2), SetVersion(2));
        new GrantGuest(_domain, 2).Grant(3, GrantFlags.PermitAccess, 0, 1UL << 40);
        Assert.Equal((-Errno.Range, 2), SetVersion(1));
    }

    [Fact]
    public void Status_frames_come_with_version_2()
    {
        _domain.Write(1u, 0x7FF0u, 0u, 0u);
        _domain.Write(1UL | (0x7FF0UL << 32), ServicesTestDomain.Buffer + 0x100);
        Assert.Equal(0, _domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.GetStatusFrames, ServicesTestDomain.Buffer, 1));
        Assert.Equal((short)GrantStatus.GeneralError, _domain.Read<short>(6));
        Assert.Equal((0, 2), SetVersion(2));
        _domain.Write(1UL | (0x7FF0UL << 32), ServicesTestDomain.Buffer + 0x100);
        Assert.Equal(0, _domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.GetStatusFrames, ServicesTestDomain.Buffer, 1));
        Assert.Equal((short)0, _domain.Read<short>(6));
        Assert.Equal(_domain.Grants.StatusFrames[0].Value, _domain.Read<ulong>(0x100));
    }

    [Fact]
    public void Two_entries_are_swapped_unless_one_is_in_use()
    {
        GrantGuest guest = new(_domain, 1);
        guest.Grant(9, GrantFlags.PermitAccess, 0, _page);
        Assert.Equal(GrantStatus.Okay, Swap(9, 10));
        Assert.False(_domain.Grants.TryAccess(new GrantRef(9), write: false, out _));
        Assert.True(_domain.Grants.TryAccess(new GrantRef(10), write: false, out _));
        Assert.Equal(GrantStatus.Again, Swap(9, 10));
        Assert.Equal(GrantStatus.BadReference, Swap(9, 512));
    }

    /// <summary>Whatever the guest writes into the table between operations, uses are counted and everything is given back in the end.</summary>
    [Fact]
    public void Garbage_in_the_table_leaves_nothing_held() =>
        Gen.Select(Gen.Int[0, 7], Gen.UInt[0, 12], Gen.ULong, Gen.Bool).Array[1, 150].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                Assert.True(domain.Grants.TryGrow(1));
                ulong page = domain.Base.Allocate();
                GrantGuest guest = new(domain, 1);
                List<GrantAccess> uses = [];
                foreach ((int action, uint reference, ulong garbage, bool write) in steps)
                {
                    switch (action)
                    {
                        case 0:
                            guest.Raw(reference) = garbage;
                            break;
                        case 1:
                            guest.Grant(reference, (GrantFlags)(garbage & 0x1FF), (ushort)(garbage >> 16 & 1), page);
                            break;
                        case 2:
                            domain.Write((uint)(garbage & 3));
                            _ = domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.SetVersion, ServicesTestDomain.Buffer, 1);
                            guest = new GrantGuest(domain, domain.Grants.Version);
                            break;
                        case 3 when uses.Count > 0:
                            uses[(int)reference % uses.Count].Dispose();
                            uses.RemoveAt((int)reference % uses.Count);
                            break;
                        default:
                            if (domain.Grants.TryAccess(new GrantRef(reference), write, out GrantAccess? access))
                            {
                                uses.Add(access);
                            }

                            break;
                    }
                }

                uses.ForEach(use => use.Dispose());
                Assert.Equal((0, 0), (domain.Grants.ActiveCount, domain.Frames.Held));
            },
            iter: 200,
            threads: 1);

    private (long Result, int Version) SetVersion(uint version)
    {
        _domain.Write(version);
        long result = _domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.SetVersion, ServicesTestDomain.Buffer, 1);
        Assert.Equal(_domain.Grants.Version, _domain.Read<int>(0));
        return (result, _domain.Read<int>(0));
    }

    private GrantStatus Swap(uint first, uint second)
    {
        _domain.Write(first, second, 0u);
        Assert.Equal(0, _domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.SwapGrantRef, ServicesTestDomain.Buffer, 1));
        return (GrantStatus)_domain.Read<short>(8);
    }
}
