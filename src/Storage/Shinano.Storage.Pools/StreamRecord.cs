namespace Shinano.Storage.Pools;

/// <summary>A part of the disk in a volume stream.</summary>
/// <param name="Offset">First byte of the disk; the number of records before it for <see cref="StreamRecordKind.End"/>.</param>
/// <param name="Length">Bytes of the disk.</param>
/// <param name="Checksum">CRC-32C of the payload.</param>
internal readonly record struct StreamRecord(StreamRecordKind Kind, long Offset, long Length, uint Checksum = 0);
