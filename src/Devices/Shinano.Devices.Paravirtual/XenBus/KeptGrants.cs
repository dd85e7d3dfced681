namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>
/// Grants that a suspended device keeps mapped for its next connection (persistent grants). A guest may have ended them in its table while it saw them in use, so
/// that they could not be mapped again.
/// </summary>
/// <param name="Queue">Of the device's queues, as the front end's nodes name it; empty for the only one.</param>
/// <param name="References">Grant references, each mapped for writing.</param>
public sealed record KeptGrants(string Queue, IReadOnlyList<uint> References);
