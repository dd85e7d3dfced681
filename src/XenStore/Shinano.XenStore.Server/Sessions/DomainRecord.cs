using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>What the store knows of an introduced domain.</summary>
internal sealed class DomainRecord(StoreSession session)
{
    internal StoreSession Session { get; } = session;

    /// <summary>The frame of the ring; kept for the record, another process maps it.</summary>
    internal ulong Frame { get; set; }

    /// <summary>The domain's event channel of the ring.</summary>
    internal uint Port { get; set; }

    /// <summary>What the domain's process shows on the relay socket. Not in the journal: xend has it in the domain's record. Null: nobody may speak for it.</summary>
    internal RelayToken? Token { get; set; }

    /// <summary>Connections of the domain's back ends, beside the ring's.</summary>
    internal int BackEndConnections { get; set; }

    /// <summary>@releaseDomain was sent because it shut down; RESUME clears this.</summary>
    internal bool IsShutDown { get; set; }
}
