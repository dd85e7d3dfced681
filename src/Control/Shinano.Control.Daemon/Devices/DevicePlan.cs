using Shinano.Control.Api.Domains.Devices;

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
    IReadOnlyList<(string Node, string Value)> HotplugNodes);
