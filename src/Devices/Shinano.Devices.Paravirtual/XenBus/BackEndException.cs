namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>A device cannot be connected: the front end's nodes make no sense, or a file is not to be had. The message goes to the back end's <c>error</c> node.</summary>
public sealed class BackEndException : Exception
{
    public BackEndException(string message)
        : base(message)
    {
    }

    public BackEndException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
