namespace Shinano.XenAbi;

/// <summary>Commands of mmuext_op. Source: public/xen.h: MMUEXT_*.</summary>
public enum MmuExtendedCommand : uint
{
    PinL1Table = 0,
    PinL2Table = 1,
    PinL3Table = 2,
    PinL4Table = 3,
    UnpinTable = 4,
    NewBasePointer = 5,
    FlushLocal = 6,
    InvalidatePageLocal = 7,
    FlushMulti = 8,
    InvalidatePageMulti = 9,
    FlushAll = 10,
    InvalidatePageAll = 11,
    FlushCache = 12,
    SetLdt = 13,
    NewUserBasePointer = 15,
    ClearPage = 16,
    CopyPage = 17,
    FlushCacheGlobal = 18,
    MarkSuperPage = 19,
    UnmarkSuperPage = 20,
}
