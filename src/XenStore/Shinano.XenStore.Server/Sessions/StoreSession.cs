using System.Collections.Immutable;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// One client of the store: a connection to the socket, the daemon itself, or a domain. A domain's session lasts from its
/// introduction to its release, over any number of relay connections.
/// </summary>
internal sealed class StoreSession(DomainId domain, int processId)
{
    private uint nextTransactionId = 1;

    internal DomainId Domain { get; } = domain;

    /// <summary>For xenstore-snoop: the process at the other end of a socket, 0 for a ring.</summary>
    internal int ProcessId { get; } = processId;

    /// <summary>Domain 0 may do everything and has no quotas.</summary>
    internal bool IsPrivileged => Domain == DomainId.Zero;

    /// <summary>The domain whose rights this one has too (SET_TARGET).</summary>
    internal DomainId? Target { get; set; }

    /// <summary>Narrows domain 0's rights to those of one domain's back ends; null for whole ones.</summary>
    internal BackEndScope? Scope { get; init; }

    /// <summary>
    /// Numbers that the domain had before it was restored or moved, in their order: absolute paths that it learnt then mean what they meant. See
    /// <see cref="XenStorePath.Renumber"/>.
    /// </summary>
    internal IReadOnlyList<DomainId> FormerIds { get; set; } = [];

    internal ISessionSink? Sink { get; set; }

    internal List<Watch> Watches { get; } = [];

    internal Dictionary<uint, StoreTransaction> Transactions { get; } = [];

    /// <summary>How many of the next requests may have been carried out already (see <see cref="RelayHello"/>).</summary>
    internal uint ReplaysLeft { get; set; }

    /// <summary>What a list of permissions lets this session do. Source: docs/misc/xenstore.txt; Xen 4.17: perm_for_conn.</summary>
    internal NodeAccess AccessTo(ImmutableArray<NodePermission> permissions)
    {
        if (IsPrivileged || IsMe(permissions[0].Domain))
        {
            return NodeAccess.ReadWrite | NodeAccess.Owner;
        }

        for (int i = 1; i < permissions.Length; i++)
        {
            if (IsMe(permissions[i].Domain))
            {
                return permissions[i].Access;
            }
        }

        return permissions[0].Access;
    }

    /// <summary>The absolute path that this session means. Does not validate.</summary>
    internal string Resolve(string given)
    {
        string path = XenStorePath.Resolve(given, Domain);
        foreach (DomainId former in FormerIds)
        {
            path = XenStorePath.Renumber(path, former, Domain);
        }

        return path;
    }

    internal Watch? FindWatch(string absolutePath, string token) =>
        Watches.Find(watch => watch.Path == absolutePath && watch.Token == token);

    /// <summary>An id that no transaction of this session has; never 0.</summary>
    internal uint AllocateTransactionId()
    {
        while (nextTransactionId == 0 || Transactions.ContainsKey(nextTransactionId))
        {
            nextTransactionId++;
        }

        return nextTransactionId++;
    }

    private bool IsMe(DomainId owner) => owner == Domain || owner == Target;
}
