namespace Shinano.Storage.Pools;

/// <summary>A qcow2 file of the pool. Its backing file is that of its parent.</summary>
internal sealed record LayerRecord(long? Parent);
