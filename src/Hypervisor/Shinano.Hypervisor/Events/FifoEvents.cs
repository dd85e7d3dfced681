using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Events;

/// <summary>
/// The FIFO ABI: an event word per port in pages of the guest, sixteen queues per vCPU linked through those words. The guest may write anything into
/// words and heads at any time: nothing read from them is followed as a link, and every retry is bounded.
/// </summary>
internal sealed class FifoEvents : IEventDelivery
{
    /// <summary>
    /// A guest that keeps to the ABI can make the exchange of a linked word fail four times at most: set MASKED, clear MASKED, clear PENDING, clear LINKED.
    /// </summary>
    private const int LinkTries = 4;

    private readonly Domain _domain;
    private readonly GuestMemory _memory;
    private readonly UpcallSignal _signal;
    private readonly IGuestFrames _frames;
    private readonly ulong[] _pages = new ulong[EventFifo.MaximumPages];
    private readonly ulong[] _controlBlocks;
    private readonly FifoQueue[][] _queues;
    private int _pageCount;
    private bool _warned;

    public FifoEvents(Domain domain, UpcallSignal signal, IGuestFrames frames)
    {
        _domain = domain;
        _memory = domain.Memory;
        _signal = signal;
        _frames = frames;
        _controlBlocks = new ulong[domain.MaximumVcpus];
        _queues = [.. domain.Vcpus.Select(v => Enumerable.Range(0, EventFifo.Queues).Select(p => new FifoQueue(v, p)).ToArray())];
    }

    /// <summary>Writes the pages and control blocks that the guest gave, and the tails of the queues.</summary>
    public void Save(StateWriter writer)
    {
        writer.PutAll(_pages[.._pageCount], (w, page) => w.Put(page >> GuestMemory.PageShift));
        foreach (ulong block in _controlBlocks)
        {
            writer.Put(block);
        }

        foreach (FifoQueue queue in _queues.SelectMany(queues => queues))
        {
            writer.Put(queue.Tail);
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    public void Load(StateReader reader)
    {
        uint pages = reader.GetCount(EventFifo.MaximumPages);
        for (uint i = 0; i < pages; i++)
        {
            StateReader.Demand(AddPage(reader.Get<ulong>()) == 0, "a page of event words is no memory of the guest's");
        }

        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            ulong block = reader.Get<ulong>();
            uint offset = (uint)(block & (GuestMemory.PageSize - 1));
            StateReader.Demand(
                block == 0
                || ((block & 7) == 0 && offset <= GuestMemory.PageSize - EventFifo.ControlBlockSize
                    && MapControlBlock(vcpu, block >> GuestMemory.PageShift, offset) == 0),
                "a FIFO control block is no memory of the guest's");
        }

        foreach (FifoQueue queue in _queues.SelectMany(queues => queues))
        {
            // A tail beyond the words is looked at nowhere.
            queue.Tail = reader.Get<uint>();
        }
    }

    public uint PortLimit => 1u << EventFifo.LinkBits;

    /// <summary>Ports with a word now.</summary>
    public uint PortCount => (uint)Volatile.Read(ref _pageCount) * EventFifo.WordsPerPage;

    /// <summary>Maps a vCPU's control block. Source: public/event_channel.h: EVTCHNOP_init_control.</summary>
    public int MapControlBlock(PvVcpu vcpu, ulong frame, uint offset)
    {
        if (_controlBlocks[vcpu.Id] != 0 || !_frames.TryHold(frame))
        {
            return -Errno.Invalid;
        }

        _controlBlocks[vcpu.Id] = (frame << GuestMemory.PageShift) + offset;
        return 0;
    }

    /// <summary>Adds a page of event words. Source: public/event_channel.h: EVTCHNOP_expand_array.</summary>
    public int AddPage(ulong frame)
    {
        if (_pageCount == EventFifo.MaximumPages)
        {
            return -Errno.NoSpace;
        }

        if (!_frames.TryHold(frame))
        {
            return -Errno.Invalid;
        }

        _pages[_pageCount] = frame << GuestMemory.PageShift;
        Volatile.Write(ref _pageCount, _pageCount + 1);
        return 0;
    }

    /// <summary>Gives the guest's frames back.</summary>
    public void Destroy()
    {
        int pages = _pageCount;
        Volatile.Write(ref _pageCount, 0);
        for (int i = 0; i < pages; i++)
        {
            _frames.Release(_pages[i] >> GuestMemory.PageShift);
        }

        for (int i = 0; i < _controlBlocks.Length; i++)
        {
            if (_controlBlocks[i] != 0)
            {
                _frames.Release(_controlBlocks[i] >> GuestMemory.PageShift);
                _controlBlocks[i] = 0;
            }
        }
    }

    public void SetPending(PvVcpu vcpu, EventChannel channel)
    {
        if (!TryGetWord(channel.Port, out ulong address))
        {
            channel.PendingWithoutWord = true;
            return;
        }

        ulong control = _controlBlocks[vcpu.Id];
        if (control == 0)
        {
            // The guest must not unmask an event before the vCPU has a control block, so the event can be dropped.
            WarnOnce($"vCPU {vcpu.Id} has no FIFO control block, an event was lost");
            return;
        }

        ref uint word = ref _memory.Shared<uint>(address);
        bool wasPending = (Interlocked.Or(ref word, EventFifo.Pending) & EventFifo.Pending) != 0;
        if ((Volatile.Read(ref word) & EventFifo.Masked) == 0
            && (Interlocked.Or(ref word, EventFifo.Linked) & EventFifo.Linked) == 0)
        {
            Link(vcpu, channel, control);
        }

        if (!wasPending)
        {
            _signal.WakePollers();
        }
    }

    public void ClearPending(EventChannel channel)
    {
        // The guest takes the event off its queue and ignores it.
        if (TryGetWord(channel.Port, out ulong address))
        {
            Interlocked.And(ref _memory.Shared<uint>(address), ~EventFifo.Pending);
        }
    }

    public void Unmask(EventChannel channel)
    {
        if (TryGetWord(channel.Port, out ulong address))
        {
            Interlocked.And(ref _memory.Shared<uint>(address), ~EventFifo.Masked);
            if (IsPending(channel.Port))
            {
                SetPending(channel.Vcpu, channel);
            }
        }
    }

    public bool IsPending(uint port) => (ReadWord(port) & EventFifo.Pending) != 0;

    public bool IsBusy(uint port) => (ReadWord(port) & EventFifo.Linked) != 0;

    /// <summary>EVTCHNOP_set_priority.</summary>
    /// <returns>0, or a negated <see cref="Errno"/>.</returns>
    public int SetPriority(EventChannel channel, uint priority)
    {
        if (priority > EventFifo.LowestPriority)
        {
            return -Errno.Invalid;
        }

        // An event that is on a queue stays there; the next one goes to the new queue.
        channel.Priority = (int)priority;
        return 0;
    }

    public void Initialise(EventChannel channel) => channel.Priority = EventFifo.DefaultPriority;

    private void Link(PvVcpu vcpu, EventChannel channel, ulong control)
    {
        uint port = channel.Port;
        FifoQueue queue = _queues[vcpu.Id][channel.Priority];
        FifoQueue old = _queues[channel.LastVcpu][channel.LastPriority];

        // When the event was a tail, its old queue is empty now; a new event there must not be linked to it.
        if (old.Tail == port)
        {
            old.Tail = 0;
        }

        channel.LastVcpu = vcpu.Id;
        channel.LastPriority = queue.Priority;

        // Linked to the tail only if that is still on the queue; otherwise the queue is empty and the head names the event.
        bool linked = queue.Tail != 0 && TryGetWord(queue.Tail, out ulong tail) && TryLinkTo(ref _memory.Shared<uint>(tail), port);
        if (!linked)
        {
            Volatile.Write(ref _memory.Shared<uint>(control + EventFifo.HeadOffset + ((ulong)queue.Priority * 4)), port);
        }

        queue.Tail = port;
        uint ready = 1u << queue.Priority;
        if (!linked && (Interlocked.Or(ref _memory.Shared<uint>(control + EventFifo.ReadyOffset), ready) & ready) == 0)
        {
            _signal.MarkPending(vcpu);
        }
    }

    /// <summary>Stores the link in a word if it is linked, atomically against the guest.</summary>
    private bool TryLinkTo(ref uint word, uint port)
    {
        uint seen = Volatile.Read(ref word);
        if (Exchange(ref word, ref seen, port) is { } first)
        {
            return first;
        }

        // BUSY keeps the guest from unmasking, so the exchange fails only as often as LinkTries says.
        Interlocked.Or(ref word, EventFifo.Busy);
        seen = Volatile.Read(ref word);
        for (int i = 0; i < LinkTries; i++)
        {
            if (Exchange(ref word, ref seen, port) is { } done)
            {
                if (!done)
                {
                    Interlocked.And(ref word, ~EventFifo.Busy);
                }

                return done;
            }
        }

        WarnOnce($"port {port} not linked: the guest keeps changing the queue's tail");
        Interlocked.And(ref word, ~EventFifo.Busy);
        return true;
    }

    /// <returns>True: linked. False: the word is on no queue. Null: it changed, try again with what is in <paramref name="seen"/>.</returns>
    private static bool? Exchange(ref uint word, ref uint seen, uint port)
    {
        if ((seen & EventFifo.Linked) == 0)
        {
            return false;
        }

        uint wanted = (seen & ~(EventFifo.Busy | EventFifo.LinkMask)) | port;
        uint found = Interlocked.CompareExchange(ref word, wanted, seen);
        bool exchanged = found == seen;
        seen = found;
        return exchanged ? true : null;
    }

    private bool TryGetWord(uint port, out ulong address)
    {
        if (port < PortCount)
        {
            address = _pages[port / EventFifo.WordsPerPage] + (port % EventFifo.WordsPerPage * 4);
            return true;
        }

        address = 0;
        return false;
    }

    /// <summary>Needs no lock: a page that is given back at the same time reads as zero.</summary>
    private uint ReadWord(uint port)
    {
        uint word = 0;
        return TryGetWord(port, out ulong address) && _memory.TryRead(address, MemoryMarshal.AsBytes(new Span<uint>(ref word))) ? word : 0;
    }

    private void WarnOnce(string message)
    {
        if (!_warned)
        {
            _warned = true;
            _domain.Log.Write($"{_domain.Id}: event channels: {message}");
        }
    }
}
