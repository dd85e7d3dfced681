using StreamJsonRpc;

namespace Shinano.Control.Api.Domains;

/// <summary>
/// What a domain process tells every connected xend, as JSON-RPC notifications (hence void): no reply, and the sender is not blocked. They may be lost when
/// nobody is connected; <see cref="IDomainProcess.GetStatusAsync"/> has the same facts.
/// </summary>
[JsonRpcContract]
public partial interface IDomainEvents
{
    void Progress(BuildProgress progress);

    /// <summary>First unpause done; vCPU 0 is about to execute its first instruction.</summary>
    void Started();

    void ShutDown(ShutdownReason reason);

    /// <summary>A device is detached: its back end has ended and touches nothing of the guest any more.</summary>
    void DeviceEnded(string kind, string id);
}
