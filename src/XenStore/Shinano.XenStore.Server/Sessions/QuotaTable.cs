using System.Globalization;
using System.Text;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>
/// The limits of a domain other than 0, with the names and defaults of Xen 4.17's xenstored (xenstored_control.c: hard_quotas).
/// </summary>
internal sealed class QuotaTable
{
    private readonly List<(string Name, string Description)> descriptions =
    [
        ("nodes", "Nodes per domain"),
        ("watches", "Watches per domain"),
        ("transactions", "Transactions per domain"),
        ("outstanding", "Outstanding requests per domain"),
        ("transaction-nodes", "Max. number of accessed nodes per transaction"),
        ("memory", "Bytes queued for a domain that does not read (events above it are dropped)"),
        ("node-size", "Max. size of a node"),
        ("path-max", "Max. length of a node path"),
        ("permissions", "Max. number of permissions per node"),
    ];

    private readonly Dictionary<string, uint> values = new(StringComparer.Ordinal)
    {
        ["nodes"] = 1000,
        ["watches"] = 128,
        ["transactions"] = 10,
        ["outstanding"] = 20,
        ["transaction-nodes"] = 1024,
        ["memory"] = (2 * 1024 * 1024) + (512 * 1024),
        ["node-size"] = 2048,
        ["path-max"] = XenStoreLimits.MaximumRelativePath,
        ["permissions"] = 5,
    };

    internal uint Nodes => values["nodes"];

    internal uint Watches => values["watches"];

    internal uint Transactions => values["transactions"];

    internal uint Outstanding => values["outstanding"];

    internal uint TransactionNodes => values["transaction-nodes"];

    internal uint Memory => values["memory"];

    internal uint NodeSize => values["node-size"];

    internal int PathLength => (int)Math.Min(values["path-max"], XenStoreLimits.MaximumAbsolutePath);

    internal uint Permissions => values["permissions"];

    internal IEnumerable<KeyValuePair<string, uint>> All => values;

    internal bool Contains(string name) => values.ContainsKey(name);

    /// <summary>Sets a known quota; an unknown name (of a later version's journal) is ignored.</summary>
    internal void Set(string name, uint value)
    {
        if (values.ContainsKey(name))
        {
            values[name] = value;
        }
    }

    /// <summary>The answer to CONTROL quota.</summary>
    internal string Describe()
    {
        var text = new StringBuilder("Quota settings:\n");
        foreach ((string name, string description) in descriptions)
        {
            text.Append(CultureInfo.InvariantCulture, $"{name,-17}: {values[name],8} {description}\n");
        }

        return text.ToString();
    }
}
