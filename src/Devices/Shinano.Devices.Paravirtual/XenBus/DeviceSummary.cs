namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>A device that is attached.</summary>
/// <param name="Kind">Kind of back end.</param>
/// <param name="Id">The device's number.</param>
/// <param name="State">State of the back end.</param>
/// <param name="Error">Why it did not connect, the last time that it did not; null when it did.</param>
/// <param name="Counters">Statistics.</param>
public sealed record DeviceSummary(string Kind, string Id, XenbusState State, string? Error, IReadOnlyList<DeviceCounter> Counters);
