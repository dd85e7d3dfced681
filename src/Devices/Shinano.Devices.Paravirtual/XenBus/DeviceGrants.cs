namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>What a device that is suspended keeps mapped.</summary>
public sealed record DeviceGrants(string Kind, string Id, IReadOnlyList<KeptGrants> Kept);
