using System.Net;
using System.Net.Sockets;

namespace Shinano.Control.Daemon.Networks;

/// <summary>
/// How passt is told of name servers. It gives a guest the host's own by DHCP, which the guest asks by itself; one on the host's loopback (systemd-resolved, dnsmasq) it cannot ask, and has
/// <see cref="UserNetwork.NameServer"/> instead, behind which passt asks that. Never both: passt says of each answer that it came from there, and guests take answers from whom they asked only.
/// </summary>
internal static class NameServers
{
    /// <summary>passt's arguments. Pure.</summary>
    /// <param name="resolverConfiguration">Text of /etc/resolv.conf; resolv.conf(5).</param>
    /// <param name="reachesLoopback">The guest reaches the host's loopback at the gateway, where passt then offers its name server.</param>
    public static IReadOnlyList<string> Arguments(string resolverConfiguration, bool reachesLoopback)
    {
        IPAddress[] servers =
        [
            .. resolverConfiguration.Split('\n')
                .Select(line => line.Split((char[])[' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries))
                .Where(words => words is ["nameserver", _, ..])
                .Select(words => IPAddress.TryParse(words[1], out IPAddress? address) ? address : null)
                .OfType<IPAddress>()
                .Where(address => address.AddressFamily == AddressFamily.InterNetwork),
        ];

        // The first that is named is the one that passt asks. Debian 12's passt offers it to the guest all the same, before the other (docs/design/network.md, Not built).
        return servers.Length > 0 && !reachesLoopback && servers.All(IPAddress.IsLoopback)
            ? ["--dns", servers[0].ToString(), "--dns", UserNetwork.NameServer, "--dns-forward", UserNetwork.NameServer]
            : [];
    }
}
