using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>All watches, found by the path they are set on: a change costs one look-up for each part of its path.</summary>
internal sealed class WatchRegistry
{
    private readonly Dictionary<string, List<Watch>> byPath = new(StringComparer.Ordinal);

    internal void Add(Watch watch)
    {
        if (!byPath.TryGetValue(watch.Path, out List<Watch>? list))
        {
            byPath[watch.Path] = list = [];
        }

        list.Add(watch);
        watch.Session.Watches.Add(watch);
    }

    internal void Remove(Watch watch)
    {
        watch.Session.Watches.Remove(watch);
        List<Watch> list = byPath[watch.Path];
        list.Remove(watch);
        if (list.Count == 0)
        {
            byPath.Remove(watch.Path);
        }
    }

    internal void RemoveAll(StoreSession session)
    {
        foreach (Watch watch in session.Watches.ToArray())
        {
            Remove(watch);
        }
    }

    /// <summary>The watches that a change of a path fires.</summary>
    /// <param name="path">Absolute, or special.</param>
    /// <param name="exact">Only watches on this very path: a node that goes because one above it is removed.</param>
    internal IEnumerable<Watch> Matching(string path, bool exact)
    {
        IEnumerable<Watch> matches = At(path);
        if (exact || XenStorePath.IsSpecial(path))
        {
            return matches;
        }

        while (path != "/")
        {
            path = XenStorePath.Parent(path);
            matches = matches.Concat(At(path));
        }

        return matches;
    }

    private List<Watch> At(string path) => byPath.GetValueOrDefault(path) ?? [];
}
