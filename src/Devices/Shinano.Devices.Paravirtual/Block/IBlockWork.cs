using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>Long work over the image of a disk that the guest goes on using (<see cref="BlockBackEnd.StartAsync"/>).</summary>
public interface IBlockWork
{
    /// <summary>
    /// Does it, or the rest of it: called again with another image when the disk's was closed meanwhile. Does not throw but for a cancellation; what it has to say it says itself.
    /// </summary>
    /// <param name="image">The disk's; open until this has returned.</param>
    /// <param name="pace">Called with the time that a piece took, before the next one: leaves the disk to the guest.</param>
    /// <param name="cancellationToken">The image is to be closed: to be followed soon.</param>
    Task RunAsync(IBlockImage image, Func<TimeSpan, ValueTask> pace, CancellationToken cancellationToken);
}
