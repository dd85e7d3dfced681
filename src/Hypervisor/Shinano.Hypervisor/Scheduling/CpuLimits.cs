namespace Shinano.Hypervisor.Scheduling;

/// <summary>
/// What a domain's vCPUs may use of the host's CPUs: its cap, which is its own, and an allowance, which comes from outside for a short time and ends by itself.
/// Pure arithmetic; times are nanoseconds of one monotonic clock.
/// </summary>
public sealed class CpuLimits
{
    private readonly CpuBudget _cap = new();
    private readonly CpuBudget _allowance = new();
    private long _allowedUntil;

    /// <summary>Millionths of a CPU; null for none.</summary>
    public long? Cap => _cap.Rate;

    /// <summary>Millionths of a CPU; null for none.</summary>
    public long? Allowance => _allowance.Rate;

    /// <summary>Neither is set.</summary>
    public bool IsEmpty => _cap.Rate is null && _allowance.Rate is null;

    /// <summary>The vCPUs may not run now.</summary>
    public bool Hold => _cap.IsExhausted || _allowance.IsExhausted;

    /// <summary>Changes the cap.</summary>
    public void SetCap(long? rate, long now) => _cap.SetRate(rate, now);

    /// <summary>Changes the allowance.</summary>
    /// <param name="rate">Millionths of a CPU; null for none.</param>
    /// <param name="now">Time.</param>
    /// <param name="validity">How long it holds unless it is given again, nanoseconds.</param>
    public void SetAllowance(long? rate, long now, long validity)
    {
        _allowance.SetRate(rate, now);
        _allowedUntil = now + validity;
    }

    /// <summary>Accounts for the time since the last look; see <see cref="CpuBudget.Advance"/>.</summary>
    /// <returns>Nanoseconds until the next look is due; <see cref="long.MaxValue"/> when there is nothing to look at.</returns>
    public long Advance(long now, long used, int threads)
    {
        if (_allowance.Rate is not null && now >= _allowedUntil)
        {
            _allowance.SetRate(null, now);
        }

        _cap.Advance(now, used);
        _allowance.Advance(now, used);
        long next = Math.Min(_cap.UntilNextLook(threads), _allowance.UntilNextLook(threads));
        return _allowance.Rate is null ? next : Math.Min(next, _allowedUntil - now);
    }
}
