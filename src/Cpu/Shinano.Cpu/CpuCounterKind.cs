namespace Shinano.Cpu;

/// <summary>How the value of a <see cref="CpuCounter"/> moves.</summary>
public enum CpuCounterKind
{
    /// <summary>Counts events since the creation of engine or vCPU; never goes down, so that a difference over time is a rate.</summary>
    Total,

    /// <summary>An amount at the moment of reading; goes up and down.</summary>
    Level,
}
