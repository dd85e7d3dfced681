namespace Shinano.Hypervisor.Scheduling;

/// <summary>
/// CPU time that may be used: it grows with time at a rate and shrinks with use. What is used beyond it is owed, so that the average holds however late it is
/// looked at. Pure arithmetic; times are nanoseconds of one monotonic clock.
/// </summary>
/// <remarks>
/// <code>
/// balance  capacity ---.        .--        looks come late by some time, so it goes below 0
///             grain ....\....../...        held: from 0 or below until a grain is there
///                 0 -----\----/----
/// </code>
/// </remarks>
public sealed class CpuBudget
{
    /// <summary>How long a domain that used nothing may save up, as Xen's credit scheduler has time slices of 30 ms.</summary>
    public const long Period = 30_000_000;

    /// <summary>One CPU as a rate.</summary>
    public const long OneCpu = 1_000_000;

    /// <summary>After having used everything it waits for so much of a period: it neither starves nor changes all the time.</summary>
    private const long Grain = Period / 3;

    /// <summary>A look that comes later than this counts as one of this time; nobody owes, or is owed, more. Keeps products in 64 bits.</summary>
    private const long Longest = 1_000_000_000;

    private const long SoonestLook = 1_000_000;

    private long _rate = -1;
    private long _balance;
    private long _fraction;
    private long _last;

    /// <summary>Millionths of a CPU; null for no limit.</summary>
    public long? Rate => _rate < 0 ? null : _rate;

    /// <summary>Everything is used up: nothing may be used until it is not.</summary>
    public bool IsExhausted { get; private set; }

    /// <summary>Changes the rate; what was saved or is owed stays, as far as the new rate allows.</summary>
    /// <param name="rate">Millionths of a CPU, from 0; null for no limit.</param>
    /// <param name="now">Not before the last <see cref="Advance"/>.</param>
    public void SetRate(long? rate, long now)
    {
        bool wasLimited = _rate >= 0;
        _rate = rate ?? -1;
        if (_rate < 0)
        {
            IsExhausted = false;
            return;
        }

        if (!wasLimited)
        {
            _last = now;
            _balance = Of(Grain);
        }

        _balance = Math.Clamp(_balance, -Of(Longest), Of(Period));
    }

    /// <summary>Accounts for the time since the last look.</summary>
    /// <param name="now">Time; one before the last is taken as the same.</param>
    /// <param name="used">CPU time used since then, nanoseconds, from 0.</param>
    public void Advance(long now, long used)
    {
        if (_rate < 0)
        {
            return;
        }

        long step = Math.Clamp(now - _last, 0, Longest);
        long gain = (step * _rate) + _fraction;
        _fraction = gain % OneCpu;
        _last = Math.Max(_last, now);

        // Who was held had no chance to use it: what a late look gives beyond a period is not lost.
        long most = IsExhausted ? Of(Longest) : Math.Max(Of(Period), _balance - used);
        _balance = Math.Clamp(_balance + (gain / OneCpu) - used, -Of(Longest), most);
        if (_balance <= 0)
        {
            IsExhausted = true;
        }
        else if (_balance >= Of(Grain))
        {
            IsExhausted = false;
        }
    }

    /// <summary>Time until the next look is due, nanoseconds: when it may be used up, or there is enough again. At most a period.</summary>
    /// <param name="threads">How many threads use it at most.</param>
    public long UntilNextLook(int threads)
    {
        if (_rate < 0)
        {
            return long.MaxValue;
        }

        long until = IsExhausted ? TimeFor(Of(Grain) - _balance, _rate) : TimeFor(_balance, (threads * OneCpu) - _rate);
        return Math.Clamp(until, SoonestLook, Period);
    }

    /// <summary>Time in which an amount of CPU time comes together at a rate.</summary>
    private static long TimeFor(long amount, long rate) => rate <= 0 ? long.MaxValue : (long)Math.Min(amount * (double)OneCpu / rate, long.MaxValue / 2);

    /// <summary>What comes together in a time, nanoseconds of CPU time.</summary>
    private long Of(long time) => time * _rate / OneCpu;
}
