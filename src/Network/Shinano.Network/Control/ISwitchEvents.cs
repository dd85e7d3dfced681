using StreamJsonRpc;

namespace Shinano.Network.Control;

/// <summary>What the switch tells xend; notifications without an answer.</summary>
[JsonRpcContract]
public partial interface ISwitchEvents
{
    /// <summary>A vnic's user-mode NAT has ended.</summary>
    void NatLost(string name);
}
