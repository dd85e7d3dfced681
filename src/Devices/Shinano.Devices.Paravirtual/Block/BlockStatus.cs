namespace Shinano.Devices.Paravirtual.Block;

/// <summary>How a request ended. Source: public/io/blkif.h: BLKIF_RSP_*.</summary>
internal enum BlockStatus : short
{
    Okay = 0,
    Error = -1,
    NotSupported = -2,
}
