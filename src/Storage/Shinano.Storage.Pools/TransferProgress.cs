namespace Shinano.Storage.Pools;

/// <summary>How far long work has come.</summary>
/// <param name="Done">Bytes of the disk.</param>
/// <param name="Total">Bytes of the disk.</param>
public readonly record struct TransferProgress(long Done, long Total);
