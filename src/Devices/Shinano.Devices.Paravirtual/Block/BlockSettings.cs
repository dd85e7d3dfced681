using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>What a disk is to the guest.</summary>
public sealed record BlockSettings
{
    /// <summary>Number of the device, as in xenstore.</summary>
    public required string Id { get; init; }

    /// <summary>Writes and discards are refused.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>VDISK_CDROM and VDISK_REMOVABLE.</summary>
    public bool IsCdrom { get; init; }

    /// <summary>Offers discard.</summary>
    public bool Discard { get; init; }

    /// <summary>Grants that the disk has mapped already as the guest of a restored domain sees it.</summary>
    public IReadOnlyList<KeptGrants> Inherited { get; init; } = [];

    /// <summary>Rings that a front end may have at most.</summary>
    public int MaximumQueues { get; init; } = 4;
}
