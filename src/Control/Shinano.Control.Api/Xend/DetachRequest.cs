namespace Shinano.Control.Api.Xend;

/// <summary>Detach a device.</summary>
/// <param name="Device">Its name in the guest, or its number.</param>
/// <param name="Force">Do not ask the guest.</param>
public sealed record DetachRequest(string Device, bool Force);
