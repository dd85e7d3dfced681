using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Daemon.Domains;

namespace Shinano.Control.Daemon.Devices;

/// <summary>All that xend does for one device: what the domain process is told, and what is written to xenstore.</summary>
/// <param name="Spec">For the domain process.</param>
/// <param name="FrontNodes">Nodes of the front end's directory beside those that every device has, in their order.</param>
/// <param name="BackNodes">Nodes of the back end's directory beside those that every device has.</param>
/// <param name="HotplugEvent">Name of the script that is run when there is one, e.g. "vbd-event".</param>
/// <param name="HotplugNodes">Nodes of the back end's directory that the hot-plug hand-shake writes, before <c>hotplug-status</c>.</param>
internal sealed record DevicePlan(
    DeviceSpec Spec,
    IReadOnlyList<(string Node, string Value)> FrontNodes,
    IReadOnlyList<(string Node, string Value)> BackNodes,
    string HotplugEvent,
    IReadOnlyList<(string Node, string Value)> HotplugNodes)
{
    /// <summary>Nodes of the front end's directory that the guest only reads.</summary>
    public IReadOnlyList<(string Node, string Value)> FixedFrontNodes { get; init; } = [];

    /// <summary>Run after <see cref="HotplugEvent"/>, when there is one: e.g. "vif-vnic", or a script's path.</summary>
    public string? FollowingEvent { get; init; }

    /// <summary>Nodes that the front end of a restored domain wrote, its state among them; null for a new front end.</summary>
    public IReadOnlyList<(string Node, byte[] Value)>? RestoredFront { get; init; }

    /// <summary>Makes what the device needs of the host, once its domain is known, and completes the plan; told whether the domain is a restored one. Null when nothing is to be made.</summary>
    public Func<DomainEntry, bool, CancellationToken, Task<DevicePlan>>? PrepareAsync { get; init; }
}
