namespace Shinano.Network.Switching;

/// <summary>
/// Limits a rate. What is sent is always paid in full, if need be later, so that the average is exact whatever the frames' lengths and the clock's grain are;
/// the burst bounds only what may be sent at once after silence. Not thread-safe.
/// </summary>
/// <param name="bytesPerSecond">From 1.</param>
/// <param name="clock">Time.</param>
public sealed class TokenBucket(long bytesPerSecond, TimeProvider clock)
{
    /// <summary>xl-network-configuration(5): a rate's default interval is 50 ms.</summary>
    private const double BurstSeconds = 0.05;

    private readonly double _burst = Math.Max(bytesPerSecond * BurstSeconds, 3000);
    private double _tokens = Math.Max(bytesPerSecond * BurstSeconds, 3000);
    private long _seen = clock.GetTimestamp();

    /// <summary>Bytes in a second.</summary>
    public long BytesPerSecond => bytesPerSecond;

    /// <summary>Pays for bytes that are sent now.</summary>
    /// <returns>How long to wait before anything else is sent; zero when there was enough.</returns>
    public TimeSpan Pay(int bytes)
    {
        long now = clock.GetTimestamp();
        _tokens = Math.Min(_burst, _tokens + (clock.GetElapsedTime(_seen, now).TotalSeconds * bytesPerSecond)) - bytes;
        _seen = now;
        return _tokens >= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(-_tokens / bytesPerSecond);
    }
}
