namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>A page, or a part of one, that the guest granted and this back end has mapped. The guest may change its bytes at any time.</summary>
public interface IGrantedPage : IDisposable
{
    /// <summary>Mapped for writing too. Nothing may be written otherwise.</summary>
    bool IsWritable { get; }

    /// <summary>
    /// The bytes that were granted: 4096, unless the guest granted a part of a page (version 2 of the grant table). Not to be used after the page was disposed:
    /// end all input and output on it before.
    /// </summary>
    Memory<byte> Bytes { get; }

    /// <summary>To be called after bytes were written: the guest may hold code there.</summary>
    /// <param name="offset">First byte, counted from the first one granted.</param>
    /// <param name="length">Bytes.</param>
    void Announce(int offset, int length);
}
