namespace Shinano.Devices.Display.Rfb.Security;

/// <summary>
/// Bounds guesses of a password: after <see cref="FreeAttempts"/> wrong ones in a row nobody may try for ten seconds, and twice as long after each further
/// one, up to an hour. A right one clears it. Thread-safe.
/// </summary>
public sealed class AttemptLimit(TimeProvider time)
{
    /// <summary>Wrong passwords in a row before there is a pause.</summary>
    public const int FreeAttempts = 5;

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);
    private readonly Lock _lock = new();
    private int _open;
    private int _failures;
    private DateTimeOffset _closedUntil;

    /// <summary>Takes the right to one attempt, which ends by <see cref="Finish"/>. Attempts under way count as failed ones, so that many at once are no way round.</summary>
    public bool TryBegin()
    {
        lock (_lock)
        {
            if (time.GetUtcNow() < _closedUntil || (_open > 0 && _failures + _open >= FreeAttempts))
            {
                return false;
            }

            _open++;
            return true;
        }
    }

    /// <summary>Ends an attempt.</summary>
    /// <param name="succeeded">Null when the viewer went away without an answer.</param>
    public void Finish(bool? succeeded)
    {
        lock (_lock)
        {
            _open--;
            if (succeeded == true)
            {
                _failures = 0;
                _closedUntil = default;
            }
            else if (succeeded == false && ++_failures >= FreeAttempts)
            {
                double pause = FirstPause.TotalSeconds * Math.Pow(2, Math.Min(_failures - FreeAttempts, 20));
                _closedUntil = time.GetUtcNow() + TimeSpan.FromSeconds(Math.Min(pause, LongestPause.TotalSeconds));
            }
        }
    }
}
