namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>One statistic of a device.</summary>
/// <param name="Name">As the counters of Linux's back ends are called where they have one, e.g. "rd_req", "wr_sect".</param>
/// <param name="Value">Counted since the device was attached.</param>
public readonly record struct DeviceCounter(string Name, long Value);
