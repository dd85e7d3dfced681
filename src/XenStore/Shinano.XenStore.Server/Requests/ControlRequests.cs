using System.Globalization;
using System.Text;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Requests;

/// <summary>
/// CONTROL, of domain 0 only: check, print, quota and help. Xen's log, logfile, memreport and live-update are not here: use
/// xenstore-snoop and restart the daemon.
/// </summary>
internal sealed class ControlRequests(StoreEngine engine, Action<string> print)
{
    private const string Help = "check\t\nprint\t<string>\nquota\t[set <name> <val>|<domid>]\nhelp\t\n";

    internal XenStoreError Handle(List<string> arguments, ref byte[] payload)
    {
        switch (arguments)
        {
            case ["help"]:
                payload = PayloadWriter.Strings(Help);
                return XenStoreError.None;
            case ["print", var text]:
                print(text);
                return XenStoreError.None;
            case ["check"]:
                return Check();
            case ["quota"]:
                payload = PayloadWriter.Strings(engine.State.Quotas.Describe());
                return XenStoreError.None;
            case ["quota", "set", var name, var number]:
                return uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint value)
                    && value > 0
                    && engine.State.Quotas.Contains(name)
                        ? engine.Commit([new SetQuota(name, value)], [])
                        : XenStoreError.Invalid;
            case ["quota", var number]:
                return ushort.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out ushort domain)
                    ? DescribeDomain(new DomainId(domain), ref payload)
                    : XenStoreError.Invalid;
            default:
                return XenStoreError.Invalid;
        }
    }

    // The counts that the tree carries must be those of its nodes.
    private XenStoreError Check()
    {
        var counts = new Dictionary<DomainId, int>();
        foreach ((_, StoreNode node) in StoreTree.Walk("/", engine.State.Tree.Root))
        {
            DomainId owner = node.Permissions[0].Domain;
            counts[owner] = counts.GetValueOrDefault(owner) + 1;
        }

        foreach ((DomainId owner, int count) in counts)
        {
            if (engine.State.Tree.CountOwnedBy(owner) != count)
            {
                print($"check: domain {owner.Value} owns {count} nodes, but {engine.State.Tree.CountOwnedBy(owner)} are counted");
                return XenStoreError.InputOutput;
            }
        }

        return XenStoreError.None;
    }

    private XenStoreError DescribeDomain(DomainId domain, ref byte[] payload)
    {
        StoreSession? session = engine.State.FindDomain(domain)?.Session;
        if (session is null && domain != DomainId.Zero)
        {
            return XenStoreError.NotFound;
        }

        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"Domain {domain.Value}:\n");
        text.Append(CultureInfo.InvariantCulture, $"{"nodes",-16}: {engine.State.Tree.CountOwnedBy(domain),8}\n");
        text.Append(CultureInfo.InvariantCulture, $"{"watches",-16}: {session?.Watches.Count ?? 0,8}\n");
        text.Append(CultureInfo.InvariantCulture, $"{"transactions",-16}: {session?.Transactions.Count ?? 0,8}\n");
        payload = PayloadWriter.Strings(text.ToString());
        return XenStoreError.None;
    }
}
