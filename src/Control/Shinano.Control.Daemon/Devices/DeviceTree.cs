using System.Globalization;
using Shinano.Control.Api.Domains.Devices;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.Control.Daemon.Devices;

/// <summary>
/// The nodes of devices, as libxl lays them out (docs/misc/xenstore-paths, libxl__device_generic_add): the front end's are the guest's own, the back end's are
/// domain 0's and the guest reads them.
/// </summary>
internal sealed class DeviceTree(LocalStore store)
{
    private const string BackEnds = "/local/domain/0/backend";

    public static string FrontPath(int domain, string kind, string id) => Invariant($"/local/domain/{domain}/device/{kind}/{id}");

    public static string BackPath(int domain, string kind, string id) => Invariant($"{BackEnds}/{kind}/{domain}/{id}");

    /// <summary>Writes both directories of a device; those of an earlier one of the same number go.</summary>
    public void Write(int domain, DevicePlan plan)
    {
        DeviceSpec spec = plan.Spec;
        string front = FrontPath(domain, spec.Kind, spec.Id);
        string back = BackPath(domain, spec.Kind, spec.Id);
        DomainId guest = new((ushort)domain);
        store.Transact(nodes =>
        {
            nodes.Remove(front);
            nodes.Remove(back);
            nodes.Write(front, "", new NodePermission(guest, NodeAccess.None), new NodePermission(DomainId.Zero, NodeAccess.Read));
            nodes.Write(back, "", new NodePermission(DomainId.Zero, NodeAccess.None), new NodePermission(guest, NodeAccess.Read));

            // libxl writes the back end first: who watches the front end finds it.
            nodes.Write($"{back}/frontend", front);
            nodes.Write($"{back}/frontend-id", Invariant($"{domain}"));
            nodes.Write($"{back}/online", "1");
            foreach ((string node, string value) in plan.BackNodes)
            {
                nodes.Write($"{back}/{node}", value);
            }

            nodes.Write($"{back}/state", "1");
            nodes.Write($"{front}/backend", back);
            nodes.Write($"{front}/backend-id", "0");
            foreach ((string node, string value) in plan.FrontNodes)
            {
                nodes.Write($"{front}/{node}", value);
            }

            nodes.Write($"{front}/state", "1");
            foreach ((string node, byte[] value) in (plan.RestoredFront ?? []).Where(restored => !plan.FixedFrontNodes.Any(ours => ours.Node == restored.Node)))
            {
                nodes.Write($"{front}/{node}", value.AsSpan());
            }

            foreach ((string node, string value) in plan.FixedFrontNodes)
            {
                nodes.Write($"{front}/{node}", value, new NodePermission(DomainId.Zero, NodeAccess.None), new NodePermission(guest, NodeAccess.Read));
            }
        });
    }

    /// <summary>Changes nodes of a back end's directory.</summary>
    public void Change(int domain, string kind, string id, IEnumerable<(string Node, string Value)> changes) => store.Transact(nodes =>
    {
        string back = BackPath(domain, kind, id);
        if (nodes.TryReadString($"{back}/state") is not null)
        {
            foreach ((string node, string value) in changes)
            {
                nodes.Write($"{back}/{node}", value);
            }
        }
    });

    /// <summary>Removes both directories of a device, and those above that are empty then.</summary>
    public void Remove(int domain, string kind, string id) => Remove(FrontPath(domain, kind, id), BackPath(domain, kind, id));

    /// <summary>Removes a front end's directory: Linux takes the device out of its tree.</summary>
    public void RemoveFront(int domain, string kind, string id) => Remove(FrontPath(domain, kind, id));

    private void Remove(params string[] paths) => store.Transact(nodes =>
    {
        foreach (string path in paths)
        {
            nodes.Remove(path);
            string parent = XenStorePath.Parent(path);
            if (nodes.TryList(parent) is { Count: 0 })
            {
                nodes.Remove(parent);
            }
        }
    });

    /// <summary>Removes all back ends' directories of a domain; the front ends' go with its own.</summary>
    public void RemoveAll(int domain) => store.Transact(nodes =>
    {
        foreach (string kind in nodes.TryList(BackEnds) ?? [])
        {
            nodes.Remove(Invariant($"{BackEnds}/{kind}/{domain}"));
        }
    });

    /// <summary>A domain's devices.</summary>
    public IReadOnlyList<(string Kind, string Id)> List(int domain) =>
        [.. (store.Nodes.TryList(BackEnds) ?? []).SelectMany(kind => List(domain, kind).Select(id => (kind, id)))];

    /// <summary>Numbers of a domain's devices of one kind.</summary>
    public IReadOnlyList<string> List(int domain, string kind) => store.Nodes.TryList(Invariant($"{BackEnds}/{kind}/{domain}")) ?? [];

    /// <summary>A node of a device's back end.</summary>
    public string? ReadBack(int domain, string kind, string id, string node) => store.Nodes.TryReadString($"{BackPath(domain, kind, id)}/{node}");

    /// <summary>
    /// Whether the guest still follows the back end of a device, under whatever number of its own it learnt the path: Linux does until it has taken the device out of its
    /// tree, some time after it closed it, and overlooks a new one of that number before.
    /// </summary>
    public bool IsWatched(int domain, string kind, string id) => store.WatchesOf(new DomainId((ushort)domain)).Any(
        watch => watch.Path.StartsWith($"{BackEnds}/{kind}/", StringComparison.Ordinal) && watch.Path[(BackEnds.Length + kind.Length + 2)..].Split('/') is [_, var number, ..] && number == id);

    /// <summary>A node of a device's front end: the guest's word.</summary>
    public string? ReadFront(int domain, string kind, string id, string node) => store.Nodes.TryReadString($"{FrontPath(domain, kind, id)}/{node}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
