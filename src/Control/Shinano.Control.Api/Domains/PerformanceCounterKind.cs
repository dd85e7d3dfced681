namespace Shinano.Control.Api.Domains;

/// <summary>How a <see cref="PerformanceCounter"/> moves.</summary>
public enum PerformanceCounterKind
{
    /// <summary>Counts from the domain's start on and never goes down.</summary>
    Total,

    /// <summary>An amount at the time of the call.</summary>
    Level,
}
