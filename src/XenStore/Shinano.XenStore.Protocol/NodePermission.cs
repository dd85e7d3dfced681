using System.Globalization;
using Shinano.XenAbi;

namespace Shinano.XenStore.Protocol;

/// <summary>
/// One entry of a node's permissions. The first entry of a list names the owner, and its access is that of all domains not
/// listed. Source: docs/misc/xenstore.txt: SET_PERMS.
/// </summary>
/// <param name="Domain">Whom the entry is about.</param>
/// <param name="Access">None, read, write or both.</param>
public readonly record struct NodePermission(DomainId Domain, NodeAccess Access)
{
    /// <summary>Parses one of n, r, w, b followed by a decimal domain number: "r5".</summary>
    public static bool TryParse(string text, out NodePermission permission)
    {
        permission = default;
        if (text.Length < 2)
        {
            return false;
        }

        NodeAccess? access = text[0] switch
        {
            'n' => NodeAccess.None,
            'r' => NodeAccess.Read,
            'w' => NodeAccess.Write,
            'b' => NodeAccess.ReadWrite,
            _ => null,
        };
        if (access is null || !ushort.TryParse(text.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort domain))
        {
            return false;
        }

        permission = new NodePermission(new DomainId(domain), access.Value);
        return true;
    }

    /// <summary>The form that <see cref="TryParse"/> reads.</summary>
    public override string ToString()
    {
        char letter = Access switch
        {
            NodeAccess.Read => 'r',
            NodeAccess.Write => 'w',
            NodeAccess.ReadWrite => 'b',
            _ => 'n',
        };
        return string.Create(CultureInfo.InvariantCulture, $"{letter}{Domain.Value}");
    }
}
