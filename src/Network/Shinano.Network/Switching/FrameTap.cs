namespace Shinano.Network.Switching;

/// <summary>Sees frames that pass a port. Must not wait.</summary>
public abstract class FrameTap
{
    /// <summary>Takes a frame. Any thread.</summary>
    public abstract void Take(ReadOnlySpan<byte> frame);
}
