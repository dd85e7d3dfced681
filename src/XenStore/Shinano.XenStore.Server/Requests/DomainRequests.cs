using System.Collections.Immutable;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Requests;

/// <summary>The requests about domains; all but reading a path are domain 0's. Source: docs/misc/xenstore.txt, Xen 4.17.</summary>
internal sealed class DomainRequests(StoreEngine engine)
{
    internal XenStoreError Introduce(DomainId domain, ulong frame, uint port)
    {
        if (!IsReal(domain) || port == 0)
        {
            return XenStoreError.Invalid;
        }

        bool isNew = engine.State.FindDomain(domain) is null;
        return engine.Commit([new IntroduceDomain(domain, frame, port)], isNew ? [Special(XenStorePath.IntroduceDomain)] : []);
    }

    /// <summary>
    /// Forgets a domain: nodes it owns go, and permissions that name it, so that a later domain of the same number inherits nothing.
    /// </summary>
    internal XenStoreError Release(DomainId domain)
    {
        if (domain == DomainId.Zero)
        {
            return XenStoreError.Invalid;
        }

        if (engine.State.FindDomain(domain) is null)
        {
            return XenStoreError.NotFound;
        }

        var mutations = new List<StoreMutation>();
        var triggers = new List<WatchTrigger>();
        string? removed = null;
        foreach ((string path, StoreNode node) in StoreTree.Walk("/", engine.State.Tree.Root))
        {
            if (removed is not null && path.StartsWith(removed, StringComparison.Ordinal))
            {
                continue;
            }

            if (path != "/" && node.Permissions[0].Domain == domain)
            {
                removed = path + "/";
                mutations.Add(new RemoveNode(path, engine.State.NextGeneration()));
                triggers.AddRange(NodeRequests.TriggersOfRemoval(path, node));
            }
            else if (Without(node.Permissions, domain) is var kept && kept != node.Permissions)
            {
                mutations.Add(new PutNode(path, node.Value, kept, engine.State.NextGeneration(), node.Order));
            }
        }

        foreach (string path in (string[])[XenStorePath.IntroduceDomain, XenStorePath.ReleaseDomain])
        {
            if (engine.State.SpecialPermissions(path) is { } permissions
                && Without(permissions, domain) is var kept
                && kept != permissions)
            {
                mutations.Add(new SetSpecialPermissions(path, kept));
            }
        }

        foreach (DomainRecord other in engine.State.Domains.Values)
        {
            if (other.Session.Target == domain)
            {
                // A target that is gone gives no rights: the domain is its own target.
                mutations.Add(new SetDomainTarget(other.Session.Domain, other.Session.Domain));
            }
        }

        mutations.Add(new ReleaseDomain(domain));
        triggers.Add(Special(XenStorePath.ReleaseDomain));
        return engine.Commit(mutations, triggers);
    }

    /// <summary>Tells the watchers of @releaseDomain, once, that a domain has shut down or crashed; it stays introduced.</summary>
    internal XenStoreError NotifyShutdown(DomainId domain)
    {
        if (engine.State.FindDomain(domain) is not { } record)
        {
            return XenStoreError.NotFound;
        }

        return record.IsShutDown
            ? XenStoreError.None
            : engine.Commit([new SetDomainShutdown(domain, IsShutDown: true)], [Special(XenStorePath.ReleaseDomain)]);
    }

    internal XenStoreError Resume(DomainId domain)
    {
        if (domain == DomainId.Zero)
        {
            return XenStoreError.Invalid;
        }

        if (engine.State.FindDomain(domain) is not { } record)
        {
            return XenStoreError.NotFound;
        }

        return record.IsShutDown ? engine.Commit([new SetDomainShutdown(domain, IsShutDown: false)], []) : XenStoreError.None;
    }

    internal XenStoreError SetTarget(DomainId domain, DomainId target) =>
        engine.State.FindDomain(domain) is null || engine.State.FindDomain(target) is null
            ? XenStoreError.NotFound
            : engine.Commit([new SetDomainTarget(domain, target)], []);

    internal bool IsIntroduced(DomainId domain) =>
        domain == DomainId.Zero || domain == DomainId.Self || engine.State.FindDomain(domain) is not null;

    private static bool IsReal(DomainId domain) => domain.Value is not 0 and < DomainId.FirstReserved;

    private static WatchTrigger Special(string path) => new(path, Exact: true, default);

    // The owner's entry stays: it is replaced by domain 0 only for the special watches, whose owner is not removed with it.
    private static ImmutableArray<NodePermission> Without(ImmutableArray<NodePermission> permissions, DomainId domain)
    {
        bool isNamed = false;
        foreach (NodePermission permission in permissions)
        {
            isNamed |= permission.Domain == domain;
        }

        if (!isNamed)
        {
            return permissions;
        }

        NodePermission owner = permissions[0].Domain == domain ? permissions[0] with { Domain = DomainId.Zero } : permissions[0];
        return [owner, .. permissions.Skip(1).Where(permission => permission.Domain != domain)];
    }
}
