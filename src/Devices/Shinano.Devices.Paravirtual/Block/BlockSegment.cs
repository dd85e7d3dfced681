namespace Shinano.Devices.Paravirtual.Block;

/// <summary>A part of a granted page. Source: public/io/blkif.h: struct blkif_request_segment.</summary>
/// <param name="Reference">Grant reference of the page.</param>
/// <param name="First">First sector of 512 bytes in the page.</param>
/// <param name="Last">Last one.</param>
internal readonly record struct BlockSegment(uint Reference, byte First, byte Last)
{
    /// <summary>Bytes of a sector in all of the protocol, whatever the disk's own are.</summary>
    public const int SectorSize = 512;

    private const int SectorsPerPage = 8;

    public bool IsValid => First <= Last && Last < SectorsPerPage;

    public int Offset => First * SectorSize;

    public int Length => (Last - First + 1) * SectorSize;
}
