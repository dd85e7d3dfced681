using System.Buffers;
using System.Globalization;
using Shinano.XenAbi;

namespace Shinano.XenStore.Protocol;

/// <summary>The rules for paths. Source: docs/misc/xenstore.txt and Xen 4.17's is_valid_nodename.</summary>
public static class XenStorePath
{
    /// <summary>Special watch: a domain was introduced.</summary>
    public const string IntroduceDomain = "@introduceDomain";

    /// <summary>Special watch: a domain was released, shut down or crashed.</summary>
    public const string ReleaseDomain = "@releaseDomain";

    private static readonly SearchValues<char> Permitted =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@");

    /// <summary>The home of a domain: what its relative paths start at.</summary>
    public static string DomainHome(DomainId domain) => string.Create(CultureInfo.InvariantCulture, $"/local/domain/{domain.Value}");

    /// <summary>True for the special watches, which are not nodes.</summary>
    public static bool IsSpecial(string path) => path.StartsWith('@');

    /// <summary>Makes a relative path absolute; leaves absolute and special ones as they are. Does not validate.</summary>
    public static string Resolve(string path, DomainId caller) =>
        path.Length > 0 && path[0] is '/' or '@' ? path : $"{DomainHome(caller)}/{path}";

    /// <summary>
    /// What a domain that had another number means by a path of its own from then: its home, and its devices' back ends, under the number it has now.
    /// </summary>
    public static string Renumber(string path, DomainId from, DomainId to)
    {
        ArgumentNullException.ThrowIfNull(path);
        string home = DomainHome(from);
        if (IsAtOrBelow(path, home.Length) && path.StartsWith(home, StringComparison.Ordinal))
        {
            return DomainHome(to) + path[home.Length..];
        }

        const string BackEnds = "/local/domain/0/backend/";
        if (!path.StartsWith(BackEnds, StringComparison.Ordinal) || path.IndexOf('/', BackEnds.Length) is var slash && slash < 0)
        {
            return path;
        }

        string number = from.Value.ToString(CultureInfo.InvariantCulture);
        int end = slash + 1 + number.Length;
        return path.AsSpan(slash + 1).StartsWith(number, StringComparison.Ordinal) && IsAtOrBelow(path, end)
            ? string.Create(CultureInfo.InvariantCulture, $"{path[..(slash + 1)]}{to.Value}{path[end..]}")
            : path;
    }

    private static bool IsAtOrBelow(string path, int length) => path.Length == length || (path.Length > length && path[length] == '/');

    /// <summary>Checks an absolute node path.</summary>
    /// <param name="path">Absolute.</param>
    /// <param name="maximumLength">
    /// Bytes allowed after <c>/local/domain/N/</c>, or in the whole path if it does not start so (Xen 4.17: quota "path-max").
    /// </param>
    public static bool IsValidNode(string path, int maximumLength = XenStoreLimits.MaximumRelativePath)
    {
        if (path.Length == 0 || path[0] != '/' || path.Length > XenStoreLimits.MaximumAbsolutePath)
        {
            return false;
        }

        if (path.Length == 1)
        {
            return true;
        }

        return path[^1] != '/'
            && !path.Contains("//", StringComparison.Ordinal)
            && path.Length - HomePrefixLength(path) <= maximumLength
            && !path.AsSpan().ContainsAnyExcept(Permitted);
    }

    /// <summary>Checks a path to watch: a node's, or a special one.</summary>
    public static bool IsValidWatch(string path, int maximumLength = XenStoreLimits.MaximumRelativePath) =>
        IsSpecial(path) ? path.Length <= XenStoreLimits.MaximumRelativePath : IsValidNode(path, maximumLength);

    /// <summary>The path above; "/" for a node just below the root and for the root itself.</summary>
    public static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash <= 0 ? "/" : path[..slash];
    }

    /// <summary>The last part of a path; empty for the root.</summary>
    public static string LeafName(string path) => path[(path.LastIndexOf('/') + 1)..];

    /// <summary>The path of a child.</summary>
    public static string Child(string path, string leaf) => path == "/" ? "/" + leaf : $"{path}/{leaf}";

    // "/local/domain/%5u/": the domain's own prefix does not count against the length.
    private static int HomePrefixLength(string path)
    {
        const string Prefix = "/local/domain/";
        if (!path.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return 0;
        }

        int end = path.IndexOf('/', Prefix.Length);
        if (end < 0 || end - Prefix.Length is 0 or > 5)
        {
            return 0;
        }

        foreach (char digit in path.AsSpan(Prefix.Length, end - Prefix.Length))
        {
            if (!char.IsAsciiDigit(digit))
            {
                return 0;
            }
        }

        return end + 1;
    }
}
