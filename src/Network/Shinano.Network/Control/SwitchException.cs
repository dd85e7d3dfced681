namespace Shinano.Network.Control;

/// <summary>The switch refuses, with a reason for people.</summary>
public sealed class SwitchException : Exception
{
    public SwitchException(string message)
        : base(message)
    {
    }

    public SwitchException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
