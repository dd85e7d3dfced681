using Shinano.Cpu;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.Hypervisor.Tests.Time;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Saving;

/// <summary>The hypervisor's state of a domain, out of it and into another; and files that lie.</summary>
public sealed unsafe class DomainStateTests
{
    private const int Vcpus = 2;

    [Fact]
    public void A_restored_domain_is_saved_as_it_was()
    {
        using BuiltDomain original = Used();
        Saved saved = Save(original);
        using BuiltDomain restored = new(Vcpus, isBuilt: false);
        Load(restored, saved, original);
        Assert.Null(MmuAudit.Find(restored.Mmu, out _));
        Saved again = Save(restored);
        Assert.Equal(saved.State, again.State);
        Assert.Equal(saved.Frames, again.Frames);
        for (int i = 0; i < Vcpus; i++)
        {
            Assert.Empty(RegisterTable.Compare((nint)original.Domain.Vcpus[i].State, (nint)restored.Domain.Vcpus[i].State));
        }

        // A hypercall finds what was there: the port is in use, the vCPU is up.
        Assert.Equal(original.Events.IsBound(1), restored.Events.IsBound(1));
        Assert.True(restored.Events.IsBound(1));
        Assert.Equal(0, restored.Call(restored.Domain.Vcpus[0], 3, 1));
    }

    [Fact]
    public void A_back_ends_port_waits_for_the_next_back_end()
    {
        using BuiltDomain original = new(Vcpus);
        HostEventPort port = original.Events.AllocateForHost(() => { })!;
        Saved saved = Save(original);
        using BuiltDomain restored = new(Vcpus, isBuilt: false);
        Load(restored, saved, original);
        Assert.Null(restored.Events.BindForHost(new EventPort(port.GuestPort.Value + 1), () => { }));
        Assert.NotNull(restored.Events.BindForHost(port.GuestPort, () => { }));
    }

    [Fact]
    public void A_grant_that_a_back_end_kept_is_its_successors_even_if_the_guest_ended_it_meanwhile()
    {
        using BuiltDomain original = new(Vcpus);
        ulong frame = original.FrameOf(original.Buffer);
        Assert.True(original.Grants.TrySeed(new GrantRef(20), new Mfn(frame)));
        Assert.True(original.Grants.TryAccess(new GrantRef(20), write: true, out GrantAccess? kept));

        // As Linux does with version 2: the right goes, and the use that shows keeps the grant alive.
        original.Domain.Memory.Shared<ushort>(original.Grants.Frames[0].Address + (20 * 8)) &= 0x18;
        Saved saved = Save(original);
        kept.Dispose();
        using BuiltDomain restored = new(Vcpus, isBuilt: false);
        Load(restored, saved, original);
        Assert.True(restored.Grants.TryAccess(new GrantRef(20), write: true, out GrantAccess? successor));
        Assert.True(successor.TryWrite(0, [1]));
        successor.Dispose();
        Assert.Equal(0, restored.Grants.ActiveCount);
        Assert.False(restored.Grants.TryAccess(new GrantRef(20), write: true, out _));
        Assert.Null(MmuAudit.Find(restored.Mmu, out long holds));
        Assert.Equal(0, holds);
    }

    [Fact]
    public void Time_goes_on_where_it_was()
    {
        ulong ticks = 1_000;
        DomainClock before = new(() => ticks, 2_500_000_000);
        ticks += 2_500_000_000;
        ulong saved = before.Now;
        ulong offset = unchecked(ticks - 77);
        ticks = 77;
        DomainClock after = new(() => unchecked(ticks + offset), 2_500_000_000, saved);
        Assert.Equal(saved, after.Now);
        ticks += 2_500_000_000;
        Assert.InRange(after.Now, saved + 999_999_000, saved + 1_000_000_000);
    }

    [Fact]
    public void A_domain_of_more_frames_than_a_list_may_have_is_saved_in_several()
    {
        const ulong Pages = SpaceState.MostFrames + 3;
        MachineSpace space = MachineSpace.Create(Pages, 1);
        using GuestMemory memory = space.Memory;
        Domain domain = new(new DomainId(1), Guid.NewGuid(), memory, 1);
        space.ClaimInitial(Pages);
        List<byte[]> lists = [.. SpaceState.SaveFrames(new MmuHypercalls(domain, space)).Select(list => list.Written.ToArray())];
        Assert.Equal([sizeof(uint) + (16 * SpaceState.MostFrames), sizeof(uint) + (16 * 3)], lists.Select(list => list.Length));
        Assert.All(lists, list => Assert.InRange(list.Length, 0, SavedStateFormat.MaximumPayload));
        MachineSpace restored = MachineSpace.Create(Pages, 1);
        using GuestMemory other = restored.Memory;
        MmuHypercalls mmu = new(new Domain(new DomainId(2), Guid.NewGuid(), other, 1), restored);
        lists.ForEach(list => SpaceState.LoadFrames(new StateReader(list), mmu));
        Assert.Equal(Pages, restored.TotalPages);
        Assert.Throws<SavedStateException>(() => SpaceState.LoadFrames(new StateReader(lists[1]), mmu));
    }

    [Fact]
    public void A_state_that_lies_is_refused_or_is_one_that_a_guest_could_have_made()
    {
        using BuiltDomain original = Used();
        Saved saved = Save(original);
        Random random = new(5);
        int refused = 0;
        for (int i = 0; i < 300; i++)
        {
            Saved changed = new([.. saved.State], [.. saved.Frames.Select(list => (byte[])[.. list])]);
            for (int n = random.Next(1, 4); n > 0; n--)
            {
                byte[] part = random.Next(2) == 0 ? changed.State : changed.Frames[random.Next(changed.Frames.Length)];
                part[random.Next(part.Length)] = (byte)random.Next(256);
            }

            if (i % 10 == 0)
            {
                changed = changed with { State = changed.State[..random.Next(changed.State.Length)] };
            }

            refused += IsRefused(changed, original) ? 1 : 0;
        }

        Assert.InRange(refused, 30, 300);
    }

    [Fact]
    public void Memory_that_lies_is_refused()
    {
        using BuiltDomain original = Used();
        Saved saved = Save(original);
        using BuiltDomain restored = new(Vcpus, isBuilt: false);
        StateReader reader = new(saved.State);
        DomainState state = new(restored.Parts);
        state.LoadSpace(reader);
        LoadFrames(state, saved);
        Copy(original, restored);

        // The root maps Xen's own table, writable.
        restored.Domain.Memory.Shared<ulong>(original.Root.Address) = (restored.Mmu.Space.FirstM2PFrame << 12) | 7;
        Assert.Equal(SavedStateError.Senseless, Assert.Throws<SavedStateException>(() => state.LoadRest(reader, 0)).Error);
    }

    private static bool IsRefused(Saved state, BuiltDomain memory)
    {
        using BuiltDomain restored = new(Vcpus, isBuilt: false);
        try
        {
            Load(restored, state, memory);
        }
        catch (SavedStateException e)
        {
            Assert.Equal(SavedStateError.Senseless, e.Error);
            return true;
        }

        Assert.Null(MmuAudit.Find(restored.Mmu, out _));
        return false;
    }

    /// <summary>A domain whose guest has done this and that.</summary>
    private static BuiltDomain Used()
    {
        BuiltDomain domain = new(Vcpus);
        PvVcpu first = domain.Domain.Vcpus[0];
        for (uint port = 1; port < 4; port++)
        {
            Assert.Equal(0, domain.Events.AllocateUnbound(DomainId.Zero, out uint given));
            Assert.Equal(port, given);
        }

        Assert.Equal(0, domain.Events.BindVirq(0, 1, out _));
        Assert.Equal(0, domain.Events.BindIpi(1, out _));
        domain.Write(domain.Buffer, domain.FrameOf(domain.Buffer + 0x1000));
        domain.Write(domain.Buffer + 8, 64UL);
        Assert.Equal(0, domain.Call(first, 10, 1, domain.Buffer));
        domain.Timers.SetSingleShot(0, 900_000_000);
        domain.Timers.SetPeriod(1, null);
        domain.Timers.SetWatchdog(1, 5_000_000_000);
        Assert.True(domain.Grants.TryGrow(3));
        first.Traps[14] = new TrapGate(domain.Entry, FlatSegments.Code64, 3, true);
        first.Traps.EventCallback = new GuestCallback(domain.Entry + 16, true);
        first.Traps.KernelStack = domain.StackTop;
        first.Traps.RaiseNmi();
        InitialState.Enter(first, domain.Entry, domain.StackTop, 0);
        first.State->Gpr[9] = 0x1234;
        first.State->Fs.Base = 0x7000_0000_0000;
        first.State->Xsave[CpuState.XmmOffset] = 0xAB;
        first.State->Rflags |= 0x8D5;
        return domain;
    }

    private static Saved Save(BuiltDomain domain)
    {
        StateWriter writer = new();
        DomainState state = new(domain.Parts);
        state.Save(writer);
        return new Saved(writer.Written.ToArray(), [.. state.SaveFrames().Select(list => list.Written.ToArray())]);
    }

    private static void Load(BuiltDomain domain, Saved saved, BuiltDomain memory)
    {
        StateReader reader = new(saved.State);
        DomainState loaded = new(domain.Parts);
        loaded.LoadSpace(reader);
        LoadFrames(loaded, saved);
        Copy(memory, domain);
        loaded.LoadRest(reader, 0);
    }

    private static void LoadFrames(DomainState state, Saved saved)
    {
        foreach (byte[] list in saved.Frames)
        {
            state.LoadFrames(new StateReader(list));
        }
    }

    private static void Copy(BuiltDomain from, BuiltDomain to)
    {
        foreach (ulong frame in from.Domain.Memory.FramesWithContent())
        {
            if (from.Mmu.Space.IsGuests(frame) && to.Mmu.Space.IsGuests(frame))
            {
                from.Domain.Memory.FrameSpan(frame).CopyTo(to.Domain.Memory.FrameSpan(frame));
            }
        }
    }

    /// <summary>The sections MACH and FRAM.</summary>
    private sealed record Saved(byte[] State, byte[][] Frames);
}
