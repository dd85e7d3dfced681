using System.Collections.Immutable;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// Everything that survives a restart of the daemon, and the watches of the living. Changes only through <see cref="Apply"/>, in
/// operation as in recovery, so that what the journal says and what the memory holds cannot differ.
/// </summary>
internal sealed class StoreState
{
    private static readonly ImmutableArray<NodePermission> OnlyDomainZero = [new NodePermission(DomainId.Zero, NodeAccess.None)];

    private readonly Dictionary<string, ImmutableArray<NodePermission>> special = new(StringComparer.Ordinal)
    {
        [XenStorePath.IntroduceDomain] = OnlyDomainZero,
        [XenStorePath.ReleaseDomain] = OnlyDomainZero,
    };

    internal StoreTree Tree { get; private set; } = StoreTree.Empty;

    internal SortedDictionary<ushort, DomainRecord> Domains { get; } = [];

    internal WatchRegistry Watches { get; } = new();

    internal QuotaTable Quotas { get; } = new();

    /// <summary>The last generation given out.</summary>
    internal ulong Generation { get; private set; }

    internal ulong NextGeneration() => ++Generation;

    internal DomainRecord? FindDomain(DomainId domain) => Domains.GetValueOrDefault(domain.Value);

    /// <summary>Who may receive a special watch; null if there is no such event.</summary>
    internal ImmutableArray<NodePermission>? SpecialPermissions(string path) => special.TryGetValue(path, out var found) ? found : null;

    /// <summary>Carries out one step. Steps about unknown domains do nothing.</summary>
    internal void Apply(StoreMutation mutation)
    {
        switch (mutation)
        {
            case PutNode put:
                Tree = Tree.Put(put);
                Generation = Math.Max(Generation, put.Generation);
                break;
            case RemoveNode remove:
                Tree = Tree.Remove(remove.Path, remove.Generation);
                Generation = Math.Max(Generation, remove.Generation);
                break;
            case IntroduceDomain introduce:
                Introduce(introduce);
                break;
            case ReleaseDomain release when FindDomain(release.Domain) is { } record:
                Watches.RemoveAll(record.Session);
                record.Session.Transactions.Clear();
                record.Session.Sink = null;
                Domains.Remove(release.Domain.Value);
                break;
            case SetDomainShutdown shutdown when FindDomain(shutdown.Domain) is { } record:
                record.IsShutDown = shutdown.IsShutDown;
                break;
            case SetDomainTarget target when FindDomain(target.Domain) is { } record:
                record.Session.Target = target.Target;
                break;
            case AddWatch add when FindDomain(add.Domain) is { } record:
                Watches.Add(new Watch(record.Session, add.Path, add.Token));
                break;
            case RemoveWatch remove when FindDomain(remove.Domain) is { } record:
                if (record.Session.FindWatch(record.Session.Resolve(remove.Path), remove.Token) is { } watch)
                {
                    Watches.Remove(watch);
                }

                break;
            case ClearWatches clear when FindDomain(clear.Domain) is { } record:
                Watches.RemoveAll(record.Session);
                break;
            case SetSpecialPermissions permissions:
                special[permissions.Path] = permissions.Permissions;
                break;
            case SetQuota quota:
                Quotas.Set(quota.Name, quota.Value);
                break;
            case SetGeneration generation:
                Generation = Math.Max(Generation, generation.Generation);
                break;
            default:
                break;
        }
    }

    /// <summary>Says which numbers a domain had before; its watches follow.</summary>
    internal void SetFormerIds(DomainRecord record, IReadOnlyList<DomainId> formerIds)
    {
        Watch[] watches = [.. record.Session.Watches];
        Watches.RemoveAll(record.Session);
        record.Session.FormerIds = formerIds;
        foreach (Watch watch in watches)
        {
            Watches.Add(new Watch(record.Session, watch.Given, watch.Token));
        }
    }

    /// <summary>Steps that make this state out of an empty one: a checkpoint.</summary>
    internal IEnumerable<StoreMutation> Snapshot()
    {
        yield return new SetGeneration(Generation);
        foreach ((string name, uint value) in Quotas.All)
        {
            yield return new SetQuota(name, value);
        }

        foreach ((string path, ImmutableArray<NodePermission> permissions) in special)
        {
            yield return new SetSpecialPermissions(path, permissions);
        }

        foreach ((string path, StoreNode node) in StoreTree.Walk("/", Tree.Root))
        {
            yield return new PutNode(path, node.Value, node.Permissions, node.Generation, node.Order);
        }

        foreach ((ushort number, DomainRecord record) in Domains)
        {
            var domain = new DomainId(number);
            yield return new IntroduceDomain(domain, record.Frame, record.Port);
            if (record.IsShutDown)
            {
                yield return new SetDomainShutdown(domain, IsShutDown: true);
            }

            if (record.Session.Target is { } target)
            {
                yield return new SetDomainTarget(domain, target);
            }

            foreach (Watch watch in record.Session.Watches)
            {
                yield return new AddWatch(domain, watch.Given, watch.Token);
            }
        }
    }

    private void Introduce(IntroduceDomain introduce)
    {
        if (FindDomain(introduce.Domain) is not { } record)
        {
            record = new DomainRecord(new StoreSession(introduce.Domain, processId: 0));
            Domains.Add(introduce.Domain.Value, record);
        }

        // Xen 4.17: do_introduce resets the connection of a domain that is introduced again (domain_conn_reset).
        Watches.RemoveAll(record.Session);
        record.Session.Transactions.Clear();
        record.Frame = introduce.Frame;
        record.Port = introduce.Port;
    }
}
