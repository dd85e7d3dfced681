namespace Shinano.XenAbi;

/// <summary>The FIFO event ABI. Source: public/event_channel.h: EVTCHN_FIFO_*.</summary>
/// <remarks>
/// <code>
/// event word   31 pending | 30 masked | 29 linked | 28 busy | 27..17 0 | 16..0 link to the next port of the queue
/// control block   0 ready (a bit per queue) | 4 reserved | 8 head[16], the first port of each queue
/// </code>
/// </remarks>
public static class EventFifo
{
    public const uint Pending = 1u << 31;
    public const uint Masked = 1u << 30;
    public const uint Linked = 1u << 29;
    public const uint Busy = 1u << 28;
    public const int LinkBits = 17;
    public const uint LinkMask = (1u << LinkBits) - 1;

    /// <summary>Queues of a vCPU, 0 of highest priority.</summary>
    public const int Queues = 16;
    public const int DefaultPriority = 7;
    public const int LowestPriority = 15;
    public const int ControlBlockSize = 8 + (Queues * 4);
    public const int ReadyOffset = 0;
    public const int HeadOffset = 8;

    /// <summary>Event words in a page of the array.</summary>
    public const int WordsPerPage = 1024;

    /// <summary>Pages of the array at most: 2^17 ports.</summary>
    public const int MaximumPages = (1 << LinkBits) / WordsPerPage;
}
