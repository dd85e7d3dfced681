using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// Which of the two ABIs a domain's events are delivered by: the 2-level one from the start, the FIFO one once the guest has given a control block for it. Members
/// return 0 or a negated <see cref="Errno"/>. Source: public/event_channel.h.
/// </summary>
/// <remarks>Under the lock of <see cref="EventChannels"/>, but for <see cref="Delivery"/> and <see cref="UsesFifo"/>.</remarks>
internal sealed class EventAbi
{
    private readonly Domain _domain;
    private readonly UpcallSignal _signal;
    private readonly IGuestFrames? _frames;
    private readonly PortTable _ports;
    private readonly TwoLevelEvents _twoLevel;
    private FifoEvents? _fifo;
    private volatile IEventDelivery _delivery;

    /// <param name="domain">Whose events.</param>
    /// <param name="signal">Tells vCPUs of events.</param>
    /// <param name="frames">For the pages of the FIFO ABI; without them there is the 2-level one only.</param>
    /// <param name="ports">The domain's ports.</param>
    public EventAbi(Domain domain, UpcallSignal signal, IGuestFrames? frames, PortTable ports)
    {
        _domain = domain;
        _signal = signal;
        _frames = frames;
        _ports = ports;
        _twoLevel = new TwoLevelEvents(domain, signal);
        _delivery = _twoLevel;
    }

    /// <summary>The ABI in use.</summary>
    public IEventDelivery Delivery => _delivery;

    /// <summary>Whether the guest has gone over to the FIFO ABI.</summary>
    public bool UsesFifo => _delivery is FifoEvents;

    /// <summary>Goes back to the 2-level ABI; no port is in use any more.</summary>
    public void Reset()
    {
        if (_fifo is { } fifo)
        {
            _delivery = _twoLevel;
            _fifo = null;
            fifo.Destroy();
        }
    }

    /// <summary>Writes which ABI is in use and what it keeps.</summary>
    public void Save(StateWriter writer)
    {
        writer.PutFlag(_fifo is not null);
        _fifo?.Save(writer);
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    public void Load(StateReader reader)
    {
        if (reader.GetFlag())
        {
            StateReader.Demand(_frames is not null, "the FIFO ABI is not to be had");
            FifoEvents fifo = new(_domain, _signal, _frames!);
            fifo.Load(reader);
            _fifo = fifo;
            _delivery = fifo;
        }
    }

    /// <summary>EVTCHNOP_set_priority.</summary>
    public long SetPriority(EventChannel channel, uint priority) =>
        _fifo is null ? -Errno.NoSystemCall : channel.IsUsable ? _fifo.SetPriority(channel, priority) : -Errno.Access;

    /// <summary>EVTCHNOP_init_control: a vCPU's control block; the first one turns the domain over to the FIFO ABI, events that are pending included.</summary>
    public long InitControl(ulong frame, uint offset, uint vcpu)
    {
        if (_frames is null)
        {
            return -Errno.NoSystemCall;
        }

        if (vcpu >= (uint)_domain.Vcpus.Count)
        {
            return -Errno.NoEntry;
        }

        if (offset > GuestMemory.PageSize - EventFifo.ControlBlockSize || (offset & 7) != 0)
        {
            return -Errno.Invalid;
        }

        FifoEvents fifo = _fifo ?? new FifoEvents(_domain, _signal, _frames);
        int error = fifo.MapControlBlock(_domain.Vcpus[(int)vcpu], frame, offset);
        if (error == 0 && _fifo is null)
        {
            foreach (EventChannel channel in _ports.All)
            {
                channel.PendingWithoutWord = _twoLevel.IsPending(channel.Port);
                channel.Priority = EventFifo.DefaultPriority;
            }

            _fifo = fifo;
            _delivery = fifo;
        }

        return error;
    }

    /// <summary>EVTCHNOP_expand_array: one more page of event words.</summary>
    public long ExpandArray(ulong frame)
    {
        if (_fifo is null)
        {
            return _frames is null ? -Errno.NoSystemCall : -Errno.NotSupported;
        }

        uint first = _fifo.PortCount;
        int error = _fifo.AddPage(frame);
        if (error != 0)
        {
            return error;
        }

        // Events from before the page was there.
        for (uint port = first; port < _fifo.PortCount && _ports.TryGet(port, out EventChannel? channel); port++)
        {
            if (channel.PendingWithoutWord)
            {
                channel.PendingWithoutWord = false;
                _fifo.SetPending(channel.Vcpu, channel);
            }
        }

        return 0;
    }
}
