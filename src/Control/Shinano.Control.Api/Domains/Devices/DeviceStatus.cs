namespace Shinano.Control.Api.Domains.Devices;

/// <summary>A device of a running domain.</summary>
public sealed record DeviceStatus
{
    /// <summary>Kind of the back end: "vbd", "vif", ...</summary>
    public required string Kind { get; init; }

    /// <summary>The device's number.</summary>
    public required string Id { get; init; }

    /// <summary>State of the back end (public/io/xenbus.h), 1 to 6.</summary>
    public required int State { get; init; }

    /// <summary>Why it is not connected, when it could not be.</summary>
    public string? Error { get; init; }

    /// <summary>Counted since it was attached; for a disk "oo_req", "rd_req", "wr_req", "f_req", "ds_req", "rd_sect", "wr_sect" as Linux's back end names
    /// them; for an interface "tx_packets", "tx_bytes", "rx_packets", "rx_bytes" and more, seen from the guest.</summary>
    public IReadOnlyList<PerfCounter> Counters { get; init; } = [];
}
