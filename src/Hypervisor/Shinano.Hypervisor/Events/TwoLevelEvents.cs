using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>The 2-level ABI: a pending and a mask bit per port in the shared info page, a selector word in each vcpu_info.</summary>
internal sealed class TwoLevelEvents(Domain domain, UpcallSignal signal) : IEventDelivery
{
    private readonly GuestMemory _memory = domain.Memory;
    private readonly ulong _pending = domain.SharedInfoFrame.Address + SharedInfoLayout.EventPending;
    private readonly ulong _mask = domain.SharedInfoFrame.Address + SharedInfoLayout.EventMask;

    public uint PortLimit => SharedInfoLayout.TwoLevelPorts;

    public void SetPending(PvVcpu vcpu, EventChannel channel)
    {
        // Pending, mask, selector, upcall: in this order, which the guest's unmasking relies on.
        uint port = channel.Port;
        if ((Interlocked.Or(ref Word(_pending, port), Bit(port)) & Bit(port)) != 0)
        {
            return;
        }

        if ((Volatile.Read(ref Word(_mask, port)) & Bit(port)) == 0)
        {
            Select(vcpu, port);
        }

        signal.WakePollers();
    }

    public void ClearPending(EventChannel channel) => Interlocked.And(ref Word(_pending, channel.Port), ~Bit(channel.Port));

    public void Unmask(EventChannel channel)
    {
        uint port = channel.Port;
        if ((Interlocked.And(ref Word(_mask, port), ~Bit(port)) & Bit(port)) != 0 && IsPending(port))
        {
            Select(channel.Vcpu, port);
        }
    }

    public bool IsPending(uint port) => port < PortLimit && (Volatile.Read(ref Word(_pending, port)) & Bit(port)) != 0;

    public bool IsBusy(uint port) => false;

    public void Initialise(EventChannel channel)
    {
    }

    private static ulong Bit(uint port) => 1UL << (int)(port % 64);

    private void Select(PvVcpu vcpu, uint port)
    {
        ulong bit = 1UL << (int)(port / 64);
        if ((Interlocked.Or(ref _memory.Shared<ulong>(vcpu.VcpuInfoAddress + VcpuInfoLayout.PendingSelector), bit) & bit) == 0)
        {
            signal.MarkPending(vcpu);
        }
    }

    private ref ulong Word(ulong array, uint port) => ref _memory.Shared<ulong>(array + (port / 64 * 8));
}
