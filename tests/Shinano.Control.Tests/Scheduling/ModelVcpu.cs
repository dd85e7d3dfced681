namespace Shinano.Control.Tests.Scheduling;

/// <summary>A thread of <see cref="HostModel"/>: how much it wants, and what it got, in milliseconds.</summary>
/// <param name="duty">Part of a CPU that its work takes.</param>
internal sealed class ModelVcpu(double duty)
{
    private double _backlog;

    public double Duty { get; set; } = duty;

    /// <summary>What the host's scheduler orders threads by.</summary>
    public long VirtualTime { get; set; }

    public bool WasReady { get; set; }

    public bool IsReady => _backlog >= 1;

    public long Run { get; private set; }

    public long Wait { get; private set; }

    /// <summary>A millisecond's work arrives. What cannot be done within a tenth of a second is given up, as by somebody who waits for answers.</summary>
    public void Arrive() => _backlog = Math.Min(100, _backlog + Duty);

    public void Execute()
    {
        _backlog--;
        VirtualTime++;
        Run++;
    }

    public void StandBy() => Wait++;
}
