namespace Shinano.Hypervisor.Events;

/// <summary>Xen's side of one FIFO queue: the guest has the head, in its control block.</summary>
internal sealed class FifoQueue(PvVcpu vcpu, int priority)
{
    public PvVcpu Vcpu { get; } = vcpu;

    public int Priority { get; } = priority;

    /// <summary>Port that was put on the queue last; 0 when that is known to be off it.</summary>
    public uint Tail { get; set; }
}
