namespace Shinano.XenStore.Client;

/// <summary>What a relay knows of a quiet ring that its successor, in another process perhaps, must know to go on.</summary>
/// <param name="OpenTransactions">Transactions the guest has started and not ended.</param>
/// <param name="PartialRequest">The beginning of a request that the guest has not written whole yet; empty at a boundary.</param>
public sealed record RingRelayState(IReadOnlyList<uint> OpenTransactions, ReadOnlyMemory<byte> PartialRequest)
{
    /// <summary>That of a ring nobody has used.</summary>
    public static RingRelayState New { get; } = new([], default);
}
