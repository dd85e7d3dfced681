namespace Shinano.Control.Api.Xend;

/// <summary>A network interface as a configuration has it.</summary>
/// <param name="Vif">E.g. "bridge=xenbr0,rate=10Mb/s".</param>
public sealed record VifRequest(string Vif);
