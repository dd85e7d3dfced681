namespace Shinano.Hypervisor.Events;

/// <summary>
/// How pending events are shown to the guest: the 2-level or the FIFO ABI. Callers hold the lock of <see cref="EventChannels"/>, except for
/// <see cref="IsPending"/>.
/// </summary>
internal interface IEventDelivery
{
    /// <summary>Ports that the ABI can express.</summary>
    uint PortLimit { get; }

    /// <summary>Raises the event for a vCPU.</summary>
    void SetPending(PvVcpu vcpu, EventChannel channel);

    void ClearPending(EventChannel channel);

    void Unmask(EventChannel channel);

    /// <summary>Without the lock, any thread; false for a port without a place.</summary>
    bool IsPending(uint port);

    /// <summary>A free port that the guest's queues still hold: not to be used again yet.</summary>
    bool IsBusy(uint port);

    /// <summary>A port was bound.</summary>
    void Initialise(EventChannel channel);
}
