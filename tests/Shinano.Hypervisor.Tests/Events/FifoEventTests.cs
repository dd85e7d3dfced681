using CsCheck;
using Shinano.Hypervisor.Events;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

public sealed class FifoEventTests : IDisposable
{
    private readonly ServicesTestDomain _domain = new();
    private readonly ulong _array;
    private readonly FifoGuest[] _guests;

    public FifoEventTests()
    {
        _array = _domain.Base.Allocate();
        _guests = [Initialise(_domain, 0, _array), Initialise(_domain, 1, _array)];
        Assert.Equal(0, ExpandArray(_domain, _array));
    }

    public void Dispose() => _domain.Dispose();

    [Fact]
    public void An_event_is_linked_ready_and_raises_the_upcall()
    {
        uint port = BindIpi(_domain, 0);
        Assert.Equal(0, Send(port));
        Assert.Equal(EventFifo.Pending | EventFifo.Linked, _guests[0].Word(port));
        Assert.Equal(1u << EventFifo.DefaultPriority, _guests[0].Ready);
        Assert.Equal(port, _guests[0].Head(EventFifo.DefaultPriority));
        Assert.Equal(1, _domain.UpcallPending());
        _guests[0].Drain();
        Assert.Equal([port], _guests[0].Handled);
    }

    [Fact]
    public void Events_come_in_the_order_sent_and_by_priority()
    {
        uint[] ports = [.. Enumerable.Range(0, 4).Select(_ => BindIpi(_domain, 0))];
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.SetPriority, ports[3], 2));
        Assert.Equal(-Errno.Invalid, _domain.Event((uint)EventChannelOp.SetPriority, ports[3], 16));
        Assert.Equal(-Errno.Access, _domain.Event((uint)EventChannelOp.SetPriority, 60, 2));
        foreach (uint port in (uint[])[ports[2], ports[0], ports[1], ports[3]])
        {
            Assert.Equal(0, Send(port));
        }

        _guests[0].Drain();
        Assert.Equal([ports[3], ports[2], ports[0], ports[1]], _guests[0].Handled);
    }

    [Fact]
    public void A_masked_event_is_pending_only_and_comes_with_its_unmask()
    {
        uint port = BindIpi(_domain, 0);
        _guests[0].Mask(port);
        Assert.Equal(0, Send(port));
        Assert.Equal(0u, _guests[0].Ready);
        Assert.Equal(0, _domain.UpcallPending());
        _guests[0].Unmask(port);
        _guests[0].Drain();
        Assert.Equal([port], _guests[0].Handled);
    }

    [Fact]
    public void Events_from_before_the_array_are_raised_when_it_grows()
    {
        using ServicesTestDomain domain = new();
        ulong array = domain.Base.Allocate();
        uint early = BindIpi(domain, 0);
        Assert.Equal(0, domain.Event((uint)EventChannelOp.Send, early));
        FifoGuest guest = Initialise(domain, 0, array);
        uint late = BindIpi(domain, 0);
        Assert.Equal(0, domain.Event((uint)EventChannelOp.Send, late));
        Assert.Equal(0, ExpandArray(domain, array));
        guest.Drain();
        Assert.Equal([early, late], guest.Handled);
    }

    [Fact]
    public void Bad_control_blocks_and_pages_are_refused()
    {
        ulong frame = _domain.Base.Allocate();
        Assert.Equal(-Errno.Invalid, InitControl(_domain, frame, 0, 0)); // vCPU 0 has one.
        Assert.Equal(-Errno.NoEntry, InitControl(_domain, frame, 0, 9));
        using ServicesTestDomain domain = new();
        Assert.Equal(-Errno.NotSupported, ExpandArray(domain, frame));
        Assert.Equal(-Errno.Invalid, InitControl(domain, frame, 4096 - 71, 0));
        Assert.Equal(-Errno.Invalid, InitControl(domain, frame, 4, 0));
        Assert.Equal(-Errno.Invalid, InitControl(domain, 0x7777_7777, 0, 0));
        Assert.False(domain.Events.UsesFifo);
        Assert.Equal(0, domain.Frames.Held);
    }

    [Fact]
    public void A_reset_gives_the_frames_back_and_ends_in_the_2_level_abi()
    {
        BindIpi(_domain, 0);
        Assert.Equal(3, _domain.Frames.Held);
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Reset, DomainId.Self.Value));
        Assert.Equal(0, _domain.Frames.Held);
        Assert.False(_domain.Events.UsesFifo);
        uint port = BindIpi(_domain, 1);
        Assert.Equal(0, Send(port));
        Assert.Equal(1UL, _domain.Selector(1));
    }

    [Fact]
    public void The_array_ends_at_2_to_the_17_ports()
    {
        for (int i = 1; i < EventFifo.MaximumPages; i++)
        {
            Assert.Equal(0, ExpandArray(_domain, _array));
        }

        Assert.Equal(-Errno.NoSpace, ExpandArray(_domain, _array));
    }

    /// <summary>A guest that keeps to the ABI loses no event, whatever the interleaving of its steps with events, masks, moves and priorities.</summary>
    [Fact]
    public void No_event_is_lost() =>
        Gen.Select(Gen.Int[0, 6], Gen.Int[0, 7], Gen.UInt[0, 15]).Array[1, 200].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                ulong array = domain.Base.Allocate();
                FifoGuest[] guests = [Initialise(domain, 0, array), Initialise(domain, 1, array)];
                Assert.Equal(0, ExpandArray(domain, array));
                HostEventPort[] ports = [.. Enumerable.Range(0, 8).Select(_ => domain.Events.AllocateForHost(() => { })!)];
                HashSet<uint> expected = [];
                foreach ((int action, int which, uint argument) in steps)
                {
                    uint port = ports[which].GuestPort.Value;
                    switch (action)
                    {
                        case 0 or 1:
                            ports[which].Notify();
                            expected.Add(port);
                            break;
                        case 2:
                            guests[0].Mask(port);
                            break;
                        case 3:
                            guests[0].Unmask(port);
                            break;
                        case 4:
                            Assert.Equal(0, domain.Event((uint)EventChannelOp.BindVcpu, port, argument & 1));
                            break;
                        case 5:
                            Assert.Equal(0, domain.Event((uint)EventChannelOp.SetPriority, port, argument));
                            break;
                        default:
                            FifoGuest guest = guests[argument & 1];
                            guest.TakeUpcall();
                            guest.Step();
                            Take(guest, expected);
                            break;
                    }
                }

                foreach (HostEventPort port in ports)
                {
                    guests[0].Unmask(port.GuestPort.Value);
                }

                foreach (FifoGuest guest in guests)
                {
                    guest.Drain();
                    Take(guest, expected);
                }

                Assert.Empty(expected);
            },
            iter: 300,
            threads: 1);

    /// <summary>Whatever the guest writes into words, heads and ready bits, operations end and touch nothing else.</summary>
    [Fact]
    public void Garbage_in_the_shared_words_harms_only_the_guest() =>
        Gen.Select(Gen.Int[0, 7], Gen.UInt, Gen.UInt[0, 12]).Array[1, 200].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                ulong array = domain.Base.Allocate();
                FifoGuest guest = Initialise(domain, 0, array);
                Assert.Equal(0, ExpandArray(domain, array));
                for (int i = 0; i < 4; i++)
                {
                    BindIpi(domain, 0);
                }

                foreach ((int action, uint garbage, uint small) in steps)
                {
                    switch (action)
                    {
                        case 0:
                            guest.Word(small) = garbage;
                            break;
                        case 1:
                            guest.Head((int)small) = garbage;
                            break;
                        case 2:
                            guest.Ready = garbage;
                            break;
                        case 3 or 4 or 5:
                            Assert.InRange(domain.Event((uint)EventChannelOp.Send, small), -Errno.Invalid, 0);
                            break;
                        case 6:
                            Assert.InRange(domain.Event((uint)EventChannelOp.Unmask, small), -Errno.Invalid, 0);
                            break;
                        default:
                            Assert.InRange(domain.Event((uint)EventChannelOp.Close, small), -Errno.Invalid, 0);
                            _ = domain.Event((uint)EventChannelOp.BindIpi, 0, 0);
                            break;
                    }
                }
            },
            iter: 200,
            threads: 1);

    [Fact]
    public void A_closed_port_that_is_still_queued_is_not_given_out_again()
    {
        uint port = BindIpi(_domain, 0);
        Assert.Equal(0, Send(port));
        Assert.Equal(0, _domain.Event((uint)EventChannelOp.Close, port));
        Assert.NotEqual(port, BindIpi(_domain, 0));
        _guests[0].Drain();
        Assert.Empty(_guests[0].Handled);
        Assert.Equal(port, BindIpi(_domain, 0));
    }

    private static void Take(FifoGuest guest, HashSet<uint> expected)
    {
        foreach (uint port in guest.Handled)
        {
            Assert.True(expected.Remove(port), $"port {port} was handled without an event");
        }

        guest.Handled.Clear();
    }

    private static FifoGuest Initialise(ServicesTestDomain domain, int vcpu, ulong array)
    {
        ulong control = domain.Base.Allocate();
        Assert.Equal(0, InitControl(domain, control, 0, (uint)vcpu));
        Assert.Equal(EventFifo.LinkBits, domain.Read<byte>(16));
        return new FifoGuest(domain, vcpu, array, control);
    }

    private static long InitControl(ServicesTestDomain domain, ulong frame, uint offset, uint vcpu) =>
        domain.Event((uint)EventChannelOp.InitControl, (uint)frame, (uint)(frame >> 32), offset, vcpu, 0, 0);

    private static long ExpandArray(ServicesTestDomain domain, ulong frame) =>
        domain.Event((uint)EventChannelOp.ExpandArray, (uint)frame, (uint)(frame >> 32));

    private static uint BindIpi(ServicesTestDomain domain, uint vcpu)
    {
        uint[] words = [vcpu, 0];
        Assert.Equal(0, domain.Event((uint)EventChannelOp.BindIpi, words));
        return words[1];
    }

    private long Send(uint port) => _domain.Event((uint)EventChannelOp.Send, port);
}
