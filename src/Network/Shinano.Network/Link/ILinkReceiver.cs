namespace Shinano.Network.Link;

/// <summary>Takes what the switch sends.</summary>
public interface ILinkReceiver
{
    /// <summary>Takes as many whole frames as there are; may wait, and the switch's queue fills meanwhile. One call at a time.</summary>
    /// <param name="bytes">What has come, in <see cref="LinkFormat"/>; the link's again afterwards.</param>
    /// <param name="cancellation">The link is being disposed.</param>
    /// <returns>Bytes that were taken; negative when they make no sense.</returns>
    ValueTask<int> TakeAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation);
}
