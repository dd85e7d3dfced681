using StreamJsonRpc;

namespace Shinano.Network.Control;

/// <summary>What xend asks of the switch, as JSON-RPC over its control socket. Refusals are <see cref="SwitchException"/>s on xend's side.</summary>
[JsonRpcContract]
public partial interface ISwitchControl
{
    /// <summary>The version that the switch speaks: <see cref="SwitchChannel.ProtocolVersion"/>.</summary>
    Task<int> HelloAsync(CancellationToken cancellation);

    /// <summary>Makes a vnic. One of the same name and token stays, with its NAT connected anew when that was lost.</summary>
    Task AddVnicAsync(VnicSpec spec, CancellationToken cancellation);

    /// <summary>Removes a vnic, if there is one of the name.</summary>
    Task RemoveVnicAsync(string name, CancellationToken cancellation);

    /// <summary>All vnics.</summary>
    Task<IReadOnlyList<VnicStatus>> ListAsync(CancellationToken cancellation);

    /// <summary>Changes how many bytes a vnic may send in a second; null: as many as it can.</summary>
    Task LimitAsync(string name, long? bytesPerSecond, CancellationToken cancellation);

    /// <summary>Begins to write a vnic's frames to a file.</summary>
    Task StartCaptureAsync(string name, string path, CancellationToken cancellation);

    /// <summary>Ends that; the file is whole when this returns.</summary>
    /// <returns>Frames that were written, and frames that were not because the disk was too slow.</returns>
    Task<CaptureSummary> StopCaptureAsync(string name, CancellationToken cancellation);
}
