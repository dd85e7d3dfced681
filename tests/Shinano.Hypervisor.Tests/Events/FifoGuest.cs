using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

/// <summary>A guest's side of the FIFO ABI: takes events off a vCPU's queues as a kernel does. Source: public/event_channel.h and the FIFO design document.</summary>
public sealed class FifoGuest(ServicesTestDomain domain, int vcpu, ulong arrayFrame, ulong controlFrame)
{
    private readonly GuestMemory _memory = domain.Domain.Memory;
    private readonly uint[] _heads = new uint[EventFifo.Queues];
    private uint _ready;

    /// <summary>Ports handled, in order.</summary>
    public List<uint> Handled { get; } = [];

    public ref uint Word(uint port) => ref _memory.Shared<uint>((arrayFrame << 12) + (port * 4));

    public ref uint Ready => ref _memory.Shared<uint>(controlFrame << 12);

    public ref uint Head(int priority) => ref _memory.Shared<uint>((controlFrame << 12) + 8 + ((ulong)priority * 4));

    public void Mask(uint port) => Interlocked.Or(ref Word(port), EventFifo.Masked);

    /// <summary>Unmasks; an event that waited is put on its queue by the hypervisor.</summary>
    public void Unmask(uint port)
    {
        Interlocked.And(ref Word(port), ~EventFifo.Masked);
        if ((Word(port) & EventFifo.Pending) != 0)
        {
            Assert.Equal(0, domain.Event((uint)EventChannelOp.Unmask, port));
        }
    }

    /// <summary>The upcall handler's beginning: whether there was an upcall.</summary>
    public bool TakeUpcall()
    {
        ref byte pending = ref _memory.Shared<byte>(domain.Domain.Vcpus[vcpu].VcpuInfoAddress);
        bool was = pending != 0;
        pending = 0;
        _ready |= Interlocked.Exchange(ref Ready, 0);
        return was;
    }

    /// <summary>Takes one event off the queue of highest priority; false when all are empty.</summary>
    public bool Step()
    {
        _ready |= Interlocked.Exchange(ref Ready, 0);
        if (_ready == 0)
        {
            return false;
        }

        int priority = int.TrailingZeroCount((int)_ready);
        uint port = _heads[priority] != 0 ? _heads[priority] : Head(priority);
        ref uint word = ref Word(port);
        uint before = Interlocked.And(ref word, ~(EventFifo.Linked | EventFifo.LinkMask));
        _heads[priority] = before & EventFifo.LinkMask;
        if (_heads[priority] == 0)
        {
            _ready &= ~(1u << priority);
        }

        if ((word & (EventFifo.Pending | EventFifo.Masked)) == EventFifo.Pending)
        {
            Interlocked.And(ref word, ~EventFifo.Pending);
            Handled.Add(port);
        }

        return true;
    }

    /// <summary>Serves upcalls until there is none.</summary>
    public void Drain()
    {
        while (TakeUpcall() || _ready != 0)
        {
            for (int i = 0; Step(); i++)
            {
                Assert.True(i < 10_000, "a queue without an end");
            }
        }
    }
}
