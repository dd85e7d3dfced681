namespace Shinano.Storage.Pools;

/// <summary>How far long work has come.</summary>
/// <param name="Done">Bytes of the disk.</param>
/// <param name="Total">Bytes of the disk.</param>
public readonly record struct TransferProgress(long Done, long Total)
{
    /// <summary>0 to 100.</summary>
    public double Percent => Total > 0 ? 100.0 * Done / Total : 0;
}
