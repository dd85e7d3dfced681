namespace Shinano.Linux;

/// <summary>The content of a memory file at one moment, to be mapped by others: a base, and what has changed since it was made.</summary>
/// <param name="Base">Everything, but for the pages that <paramref name="Delta"/> holds. Holes are zero.</param>
/// <param name="Delta">Pages at the same offsets that count instead of the base's; null when there are none.</param>
public sealed record FrozenMemory(SealedMemory Base, SealedMemory? Delta) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Base.Dispose();
        Delta?.Dispose();
    }
}
