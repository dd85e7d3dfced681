using CsCheck;
using Shinano.Hypervisor.Events;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

public sealed class EventChannelTests : IDisposable
{
    private readonly ServicesTestDomain _domain = new();

    public void Dispose() => _domain.Dispose();

    private uint BindIpi(uint vcpu)
    {
        uint[] words = [vcpu, 0];
        Assert.Equal(0, _domain.Event(7, words));
        return words[1];
    }

    [Fact]
    public void An_ipi_sets_bit_selector_and_upcall_of_its_vcpu_only()
    {
        uint port = BindIpi(1);
        Assert.Equal(0, _domain.Event(4, port));
        Assert.True(_domain.IsPending(port));
        Assert.Equal((1, 1UL), (_domain.UpcallPending(1), _domain.Selector(1)));
        Assert.Equal((0, 0UL), (_domain.UpcallPending(), _domain.Selector()));
    }

    [Fact]
    public void A_masked_event_waits_for_its_unmask()
    {
        uint port = BindIpi(0);
        _domain.Mask(port, true);
        Assert.Equal(0, _domain.Event(4, port));
        Assert.True(_domain.IsPending(port));
        Assert.Equal(0, _domain.UpcallPending());
        Assert.Equal(0, _domain.Event(9, port));
        Assert.Equal(1, _domain.UpcallPending());
    }

    [Fact]
    public void A_back_end_hears_the_guest_and_the_guest_its_back_end()
    {
        int sent = 0;
        using HostEventPort host = _domain.Events.AllocateForHost(() => sent++)!;
        Assert.Equal(0, _domain.Event(4, host.GuestPort.Value));
        Assert.Equal(1, sent);
        Assert.False(_domain.IsPending(host.GuestPort.Value));
        host.Notify();
        Assert.True(_domain.IsPending(host.GuestPort.Value));
    }

    [Fact]
    public void A_back_end_binds_to_a_port_that_waits_for_domain_0()
    {
        uint[] words = [0x7FF0, 0]; // dom SELF, remote 0
        Assert.Equal(0, _domain.Event(6, words));
        HostEventPort? host = _domain.Events.BindForHost(new EventPort(words[1]), () => { });
        Assert.NotNull(host);
        Assert.Null(_domain.Events.BindForHost(new EventPort(words[1]), () => { }));
        host.Dispose();
        Assert.NotNull(_domain.Events.BindForHost(new EventPort(words[1]), () => { }));
    }

    [Fact]
    public void A_back_end_whose_guest_closed_the_port_reaches_nobody()
    {
        HostEventPort host = _domain.Events.AllocateForHost(() => { })!;
        Assert.Equal(0, _domain.Event(3, host.GuestPort.Value));
        uint reused = BindIpi(0);
        Assert.Equal(host.GuestPort.Value, reused);
        host.Notify();
        host.Dispose();
        Assert.False(host.IsConnected);
        Assert.False(_domain.IsPending(reused));
        Assert.Equal(0, _domain.Event(4, reused));
    }

    [Fact]
    public void A_loop_to_itself_carries_events_both_ways_and_ends_unbound()
    {
        uint[] unbound = [0x7FF0 | (0x7FF0u << 16), 0];
        Assert.Equal(0, _domain.Event(6, unbound));
        uint[] bind = [0x7FF0, unbound[1], 0];
        Assert.Equal(0, _domain.Event(0, bind));
        Assert.True(_domain.IsPending(bind[2])); // Conservatively, on binding.
        Assert.Equal(0, _domain.Event(4, bind[2]));
        Assert.True(_domain.IsPending(unbound[1]));
        Assert.Equal(0, _domain.Event(3, bind[2]));
        uint[] status = [0x7FF0, unbound[1], 0, 0, 0, 0];
        Assert.Equal(0, _domain.Event(5, status));
        Assert.Equal((uint)EventChannelStatus.Unbound, status[2]);
    }

    [Fact]
    public void A_virq_is_bound_once_per_vcpu_and_again_after_its_close()
    {
        uint[] words = [VirtualIrq.Timer, 1, 0];
        Assert.Equal(0, _domain.Event(1, words));
        Assert.Equal(-Errno.Exists, _domain.Event(1, VirtualIrq.Timer, 1, 0));
        Assert.Equal(0, _domain.Event(1, VirtualIrq.Timer, 0, 0));
        _domain.Events.SendVirq(1, VirtualIrq.Timer);
        Assert.True(_domain.IsPending(words[2]));
        Assert.Equal(0, _domain.Event(3, words[2]));
        Assert.False(_domain.IsPending(words[2]));
        Assert.Equal(0, _domain.Event(1, VirtualIrq.Timer, 1, 0));
    }

    [Fact]
    public void A_global_virq_starts_on_vcpu_0_and_moves()
    {
        Assert.Equal(-Errno.Invalid, _domain.Event(1, 3, 1, 0));
        uint[] words = [3, 0, 0];
        Assert.Equal(0, _domain.Event(1, words));
        Assert.Equal(0, _domain.Event(8, words[2], 1));
        _domain.Events.SendVirq(0, 3);
        Assert.Equal(1, _domain.UpcallPending(1));
        Assert.Equal(0, _domain.Event(3, words[2]));
        Assert.Equal(0, _domain.Event(1, 3, 0, 0));
    }

    [Fact]
    public void Ports_run_out_without_harm()
    {
        for (int i = 0; i < 1023; i++)
        {
            BindIpi(0);
        }

        Assert.Equal(-Errno.NoSpace, _domain.Event(7, 0, 0));
        Assert.Equal(-Errno.NoSpace, _domain.Event(6, 0x7FF0, 0));
        Assert.Null(_domain.Events.AllocateForHost(() => { }));
        Assert.Equal(0, _domain.Event(10, 0x7FF0));
        Assert.Equal(1u, BindIpi(0));
    }

    [Fact]
    public void An_answer_that_cannot_be_written_gives_the_port_back()
    {
        // The request's last word lies behind the mapped page.
        ulong edge = ServicesTestDomain.Buffer + 4096 - 4;
        Assert.True(_domain.Vcpu.Guest.TryWrite(edge, 0u));
        Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.EventChannelOp, 7, edge));
        Assert.Equal(1u, BindIpi(0));
    }

    [Fact]
    public void Foreign_domains_are_refused()
    {
        Assert.Equal(-Errno.Perm, _domain.Event(6, 0, 0));
        Assert.Equal(-Errno.NoSuchProcess, _domain.Event(6, 77, 0));
        Assert.Equal(-Errno.NoSuchProcess, _domain.Event(0, 77, 1, 0));
        Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.EventChannelOp, 4, 0x10));
    }

    [Fact]
    public void No_sequence_of_operations_throws_or_reaches_beyond_the_tables() =>
        Gen.Select(Gen.UInt[0, 14], Gen.UInt.Array[6], Gen.UInt[0, 6]).Array[1, 40].Sample(
            steps =>
            {
                using ServicesTestDomain domain = new();
                foreach ((uint command, uint[] words, uint small) in steps)
                {
                    // Half of the words are small, so that operations meet existing ports.
                    uint[] mixed = [.. words.Select((w, i) => (w & 1) == 0 ? (small + (uint)i) % 7 : w)];
                    mixed[0] = (small & 1) == 0 ? 0x7FF0 | (mixed[0] << 16) : mixed[0];
                    long result = domain.Event(command, mixed);
                    Assert.InRange(result, -200, 0);
                }
            },
            iter: 60,
            threads: 1);
}
