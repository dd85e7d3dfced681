namespace Shinano.Control.Api.Xend;

/// <summary>What <c>xm vcpu-pin</c> changes.</summary>
/// <param name="Vcpu">Number of the vCPU; null for all.</param>
/// <param name="Cpus">Host CPUs as in a configuration: "0", "0-3,^1", "all".</param>
public sealed record PinRequest(int? Vcpu, string Cpus);
