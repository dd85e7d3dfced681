using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Memory;

namespace Shinano.Devices.Paravirtual;

/// <summary>
/// A page of the guest's that is known by its frame and kept from leaving the domain by whoever made this: the rings that a domain is built with. Should it be gone
/// all the same, it has no bytes.
/// </summary>
/// <param name="memory">The guest's.</param>
/// <param name="frame">Frame of the page, memory when this is made.</param>
public sealed class HeldFrame(GuestMemory memory, ulong frame) : IGrantedPage
{
    private readonly Memory<byte> _bytes = memory.FrameMemory(frame);

    /// <inheritdoc/>
    public bool IsWritable => true;

    /// <inheritdoc/>
    public Memory<byte> Bytes => memory.IsRam(frame) ? _bytes : default;

    /// <inheritdoc/>
    public void Announce(int offset, int length) => memory.AnnounceWrite((frame << GuestMemory.PageShift) + (uint)offset, length);

    /// <summary>Does nothing: the page stays held.</summary>
    public void Dispose()
    {
    }
}
