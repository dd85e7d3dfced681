namespace Shinano.Storage.Pools;

/// <summary>What a volume stream begins with.</summary>
/// <param name="Name">The snapshot's name, without pool and volume.</param>
/// <param name="Size">Bytes of the disk.</param>
/// <param name="Guid">Of the snapshot.</param>
/// <param name="Base">Of the snapshot that the stream changes; empty for a full stream.</param>
internal sealed record StreamHeader(string Name, long Size, DateTimeOffset Created, Guid Guid, Guid Base);
