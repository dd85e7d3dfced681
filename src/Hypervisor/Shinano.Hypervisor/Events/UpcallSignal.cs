using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>Makes vCPUs notice events: the upcall flag of vcpu_info, and vCPUs that wait in SCHEDOP_poll. Any thread.</summary>
internal sealed class UpcallSignal(Domain domain)
{
    private readonly GuestMemory _memory = domain.Memory;
    private uint _pollers;

    /// <summary>Sets evtchn_upcall_pending; the vCPU is disturbed when it was clear.</summary>
    public void MarkPending(PvVcpu vcpu)
    {
        ulong info = vcpu.VcpuInfoAddress;
        if (Interlocked.Exchange(ref _memory.Shared<byte>(info + VcpuInfoLayout.UpcallPending), 1) != 0)
        {
            return;
        }

        // Even while upcalls are masked: a guest unmasks and looks at the flag without a barrier in between, so its store may pass after our look at the
        // mask and its look before our flag. The kick makes the run loop look again, later than both (Xen: vcpu_mark_events_pending).
        vcpu.Notify();
    }

    /// <summary>Selects all words of the 2-level ABI and marks the upcall.</summary>
    public void SelectAll(PvVcpu vcpu)
    {
        Interlocked.Exchange(ref _memory.Shared<ulong>(vcpu.VcpuInfoAddress + VcpuInfoLayout.PendingSelector), ulong.MaxValue);
        MarkPending(vcpu);
    }

    /// <summary>Announces that a vCPU is going to look at pending bits and to wait; before it looks.</summary>
    public void BeginPoll(PvVcpu vcpu) => Interlocked.Or(ref _pollers, 1u << vcpu.Id);

    /// <summary>The vCPU waits no more.</summary>
    public void EndPoll(PvVcpu vcpu) => Interlocked.And(ref _pollers, ~(1u << vcpu.Id));

    /// <summary>A pending bit was set (by a locked operation): vCPUs that poll look again.</summary>
    public void WakePollers()
    {
        uint pollers = Volatile.Read(ref _pollers);
        for (int i = 0; pollers != 0; i++, pollers >>= 1)
        {
            if ((pollers & 1) != 0)
            {
                domain.Vcpus[i].Notify();
            }
        }
    }
}
