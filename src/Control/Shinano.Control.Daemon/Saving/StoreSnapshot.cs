using Shinano.Control.Daemon.Domains;
using Shinano.SavedState;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.Control.Daemon.Saving;

/// <summary>A domain's part of xenstore, out of the store and back into it under another number.</summary>
internal sealed class StoreSnapshot(LocalStore store)
{
    /// <summary>Nodes that xend writes for each domain anew, and devices, which come with their back ends.</summary>
    private static readonly string[] Own = ["vm", "name", "domid", "store", "console", "device", "platform"];

    private static readonly string[] OfDevices = ["backend", "backend-id"];

    /// <summary>Everything below the domain's home, parents first, and its watches.</summary>
    public (IReadOnlyList<SavedNode> Nodes, IReadOnlyList<SavedWatch> Watches) Take(int id)
    {
        List<SavedNode> taken = [];
        store.Transact(nodes =>
        {
            taken.Clear();
            Walk(nodes, DomainTree.DomainPath(id), "", taken);
        });
        return (taken, [.. store.WatchesOf(new DomainId((ushort)id)).Select(watch => new SavedWatch(watch.Path, watch.Token))]);
    }

    /// <summary>Gives a domain whose own nodes are there the guest's nodes and the watches of a saved one.</summary>
    /// <exception cref="SavedStateException">They are not to be had in xenstore.</exception>
    public void Put(int id, SavedDescription saved)
    {
        int former = saved.FormerIds[^1];
        try
        {
            store.Transact(nodes =>
            {
                foreach (SavedNode node in saved.Nodes.Where(node => node.Path.Length > 0 && !IsOwn(node.Path)))
                {
                    string path = $"{DomainTree.DomainPath(id)}/{node.Path}";
                    nodes.Write(path, node.Value.AsSpan());
                    nodes.SetPermissions(path, PermissionsOf(node, former, id));
                }
            });
            foreach (SavedWatch watch in saved.Watches)
            {
                store.AddWatch(new DomainId((ushort)id), watch.Path, watch.Token);
            }
        }
        catch (XenStoreException e)
        {
            throw StateReader.Senseless($"a node or a watch of the domain's is refused: {e.Message}");
        }
    }

    /// <summary>What a front end wrote about a device, to be written for its successor.</summary>
    public static IReadOnlyList<(string Node, byte[] Value)> FrontNodes(SavedDescription saved, string kind, string device)
    {
        string prefix = $"device/{kind}/{device}/";
        return
        [
            .. saved.Nodes.Where(node => node.Path.StartsWith(prefix, StringComparison.Ordinal))
                .Select(node => (node.Path[prefix.Length..], node.Value))
                .Where(node => !OfDevices.Contains(node.Item1)),
        ];
    }

    private static void Walk(IXenStoreNodes nodes, string home, string path, List<SavedNode> taken)
    {
        string absolute = path.Length == 0 ? home : $"{home}/{path}";
        if (nodes.TryRead(absolute) is not { } value)
        {
            return;
        }

        taken.Add(new SavedNode(path, value, [.. (nodes.TryGetPermissions(absolute) ?? []).Select(permission => permission.ToString())]));
        foreach (string child in nodes.TryList(absolute) ?? [])
        {
            Walk(nodes, home, path.Length == 0 ? child : $"{path}/{child}", taken);
        }
    }

    private static bool IsOwn(string path)
    {
        string first = path.Split('/')[0];
        return Own.Contains(first) && !path.StartsWith("device/suspend", StringComparison.Ordinal);
    }

    /// <summary>Domain 0 and the domain itself; what was another's becomes domain 0's, or nobody's.</summary>
    private static NodePermission[] PermissionsOf(SavedNode node, int former, int id)
    {
        List<NodePermission> permissions = [];
        foreach (string text in node.Permissions)
        {
            StateReader.Demand(NodePermission.TryParse(text, out NodePermission permission), $"'{text}' is no permission");
            DomainId domain = permission.Domain.Value == former ? new DomainId((ushort)id) : permission.Domain;
            if (domain == DomainId.Zero || domain.Value == id)
            {
                permissions.Add(permission with { Domain = domain });
            }
            else if (permissions.Count == 0)
            {
                permissions.Add(permission with { Domain = DomainId.Zero });
            }
        }

        StateReader.Demand(permissions.Count > 0, "a node without permissions");
        return [.. permissions];
    }
}
