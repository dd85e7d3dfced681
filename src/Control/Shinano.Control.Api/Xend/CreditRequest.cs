namespace Shinano.Control.Api.Xend;

/// <summary>What <c>xm sched-credit</c> changes; null leaves it as it is.</summary>
/// <param name="Weight">1 to 65535.</param>
/// <param name="CapPercent">Percent of one host CPU, 0 for none, at most 100 for each vCPU.</param>
public sealed record CreditRequest(int? Weight, int? CapPercent);
