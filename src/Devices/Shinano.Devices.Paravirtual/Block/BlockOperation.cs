namespace Shinano.Devices.Paravirtual.Block;

/// <summary>What a front end asks for. Source: public/io/blkif.h: BLKIF_OP_*.</summary>
internal enum BlockOperation : byte
{
    Read = 0,
    Write = 1,

    /// <summary>A write before which all earlier requests, and after which nothing, is in flight.</summary>
    WriteBarrier = 2,

    FlushDiskCache = 3,
    Discard = 5,

    /// <summary>A read or write whose segments are in pages of their own.</summary>
    Indirect = 6,
}
