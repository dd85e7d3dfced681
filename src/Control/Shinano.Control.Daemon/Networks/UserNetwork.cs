using System.Globalization;

namespace Shinano.Control.Daemon.Networks;

/// <summary>Addresses of user-mode networks, the same on each switch and those that QEMU's users know: 10.0.2.0/24.</summary>
internal static class UserNetwork
{
    /// <summary>Where packets to elsewhere go.</summary>
    public const string Gateway = "10.0.2.2";

    /// <summary>Forwards questions to the host's name server.</summary>
    public const string NameServer = "10.0.2.3";

    public const string Mask = "255.255.255.0";

    /// <summary>Of the gateway.</summary>
    public const string Mac = "52:55:0a:00:02:02";

    private const int First = 15;
    private const int Last = 254;

    /// <summary>The first address that is not in use; null when all are.</summary>
    public static string? FreeAddress(IReadOnlyCollection<string> used) =>
        Enumerable.Range(First, Last - First + 1).Select(last => string.Create(CultureInfo.InvariantCulture, $"10.0.2.{last}")).FirstOrDefault(one => !used.Contains(one));
}
