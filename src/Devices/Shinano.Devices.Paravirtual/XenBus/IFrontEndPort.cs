namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>A back end's end of an event channel. Disposing closes it; a callback may be under way still.</summary>
public interface IFrontEndPort : IDisposable
{
    /// <summary>Makes the event pending in the guest. Any thread, never blocks; nothing happens when the guest has closed its end.</summary>
    void Notify();
}
