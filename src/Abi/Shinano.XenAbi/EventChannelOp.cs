namespace Shinano.XenAbi;

/// <summary>Commands of event_channel_op. Source: public/event_channel.h: EVTCHNOP_*.</summary>
public enum EventChannelOp : uint
{
    BindInterdomain = 0,
    BindVirq = 1,
    BindPirq = 2,
    Close = 3,
    Send = 4,
    Status = 5,
    AllocUnbound = 6,
    BindIpi = 7,
    BindVcpu = 8,
    Unmask = 9,
    Reset = 10,
    InitControl = 11,
    ExpandArray = 12,
    SetPriority = 13,
}
