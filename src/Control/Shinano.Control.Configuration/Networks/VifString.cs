using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Shinano.Control.Configuration.Networks;

/// <summary>
/// Reads one network interface, <c>key=value,...</c>. Bounded by the text's length; never throws on content. Source: xl-network-configuration(5).
/// </summary>
public sealed class VifString
{
    private const int HighestVlan = 4094;
    private const int HighestNumber = 63;
    private const int MostForwards = 64;
    private const int MostAddresses = 16;

    /// <summary>xl-network-configuration(5): keys without a meaning here.</summary>
    private static readonly string[] WithoutMeaning = ["backend", "gatewaydev", "accel", "trusted", "forwarddev", "mtu", "vifname"];

    private readonly string _text;
    private readonly List<string> _ignored = [];
    private readonly List<PortForward> _forwards = [];
    private readonly List<string> _addresses = [];
    private readonly List<int> _trunk = [];
    private VifConfiguration _vif;
    private int _kindAt;
    private int _forwardAt = -1;
    private string? _problem;
    private int _problemAt;

    private VifString(string text, int number)
    {
        _text = text;
        _vif = new VifConfiguration { Number = number };
    }

    /// <summary>Reads an interface.</summary>
    /// <param name="text">One string of the list.</param>
    /// <param name="number">Its place in the list.</param>
    /// <returns>The interface, or what is wrong with the text and at which of its characters; and keys that do nothing here.</returns>
    public static (VifConfiguration? Vif, string? Problem, int At, IReadOnlyList<string> Ignored) Read(string text, int number)
    {
        ArgumentNullException.ThrowIfNull(text);
        VifString reader = new(text, number);
        VifConfiguration? vif = reader.Read();
        return (vif, reader._problem, reader._problemAt, reader._ignored);
    }

    private VifConfiguration? Read()
    {
        for (int start = 0; start <= _text.Length && _problem is null;)
        {
            int end = _text.IndexOf(',', start);
            end = end < 0 ? _text.Length : end;
            int begin = start;
            while (begin < end && char.IsWhiteSpace(_text[begin]))
            {
                begin++;
            }

            TakePart(_text[begin..end].TrimEnd(), begin);
            start = end + 1;
        }

        bool isUser = _vif.Kind is null or NetworkKind.User;
        if (_problem is null && !isUser && (_forwardAt >= 0 || _vif.ReachesLoopback))
        {
            Fail("forward and loopback are for type=user", Math.Max(_forwardAt, _kindAt));
        }

        // What asks for user-mode NAT gets it.
        return _problem is not null ? null : _vif with
        {
            Kind = _forwardAt >= 0 || _vif.ReachesLoopback ? NetworkKind.User : _vif.Kind,
            Forwards = [.. _forwards],
            Addresses = [.. _addresses],
            Trunk = [.. _trunk.Distinct().Order()],
            Vlan = _vif.Vlan ?? (_trunk.Count > 0 ? 0 : null),
        };
    }

    private void TakePart(string part, int at)
    {
        if (part.Length == 0)
        {
            return;
        }

        int equals = part.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
        {
            Fail($"{Show(part)} is not of the form key=value", at);
            return;
        }

        TakeKey(part[..equals].TrimEnd(), part[(equals + 1)..].TrimStart(), at + equals + 1, at);
    }

    private void TakeKey(string key, string value, int valueAt, int at)
    {
        switch (key)
        {
            case "mac":
                TakeMac(value, valueAt);
                break;
            case "bridge":
                if (value.Length is 0 or > 15 || value.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')))
                {
                    Fail($"bridge={Show(value)}: a bridge's name has 1 to 15 letters, digits, '-', '_', '.'", valueAt);
                }

                _vif = _vif with { Bridge = value };
                break;
            case "type":
                TakeKind(value, valueAt);
                break;
            case "script":
                _vif = _vif with { Script = value };
                break;
            case "rate":
                _vif = _vif with { BytesPerSecond = RateText.TryParse(value) };
                if (_vif.BytesPerSecond is null)
                {
                    Fail($"rate={Show(value)} is no rate: 10Mb/s, 250KB/s, 1Gb/s", valueAt);
                }

                break;
            case "vlan":
                _vif = _vif with { Vlan = TakeNumber(key, value, valueAt, 0, HighestVlan) };
                break;
            case "trunk":
                TakeTrunk(value, valueAt);
                break;
            case "ip":
                TakeAddresses(value, valueAt);
                break;
            case "forward":
                TakeForward(value, valueAt);
                break;
            case "loopback":
                _vif = _vif with { ReachesLoopback = TakeSwitch(key, value, valueAt) };
                break;
            case "promiscuous":
                _vif = _vif with { IsPromiscuous = TakeSwitch(key, value, valueAt) };
                break;
            case "model":
                _vif = _vif with { Model = value };
                _ignored.Add(key);
                break;
            case "devid":
                _vif = _vif with { Number = TakeNumber(key, value, valueAt, 0, HighestNumber) };
                break;
            default:
                if (Array.IndexOf(WithoutMeaning, key) < 0)
                {
                    Fail($"{Show(key)} is no key of a network interface", at);
                }

                _ignored.Add(key);
                break;
        }
    }

    private void TakeMac(string value, int at)
    {
        string[] parts = value.Split(':');
        byte[] bytes = new byte[6];
        bool isGood = parts.Length == 6;
        for (int i = 0; isGood && i < 6; i++)
        {
            isGood = parts[i].Length is 1 or 2 && byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes[i]);
        }

        if (!isGood)
        {
            Fail($"mac={Show(value)} is no address: 00:16:3e:12:34:56", at);
        }
        else if ((bytes[0] & 1) != 0)
        {
            Fail($"mac={Show(value)} is the address of a group, not of an interface", at);
        }
        else
        {
            _vif = _vif with { Mac = string.Join(':', bytes.Select(one => one.ToString("x2", CultureInfo.InvariantCulture))) };
        }
    }

    private void TakeKind(string value, int at)
    {
        _kindAt = at;
        switch (value)
        {
            case "user":
                _vif = _vif with { Kind = NetworkKind.User };
                break;
            case "bridge":
                _vif = _vif with { Kind = NetworkKind.Bridge };
                break;
            case "internal" or "none":
                _vif = _vif with { Kind = NetworkKind.Internal };
                break;

            // xl's and xm's words for paravirtual and emulated interfaces; ours are paravirtual.
            case "vif" or "netfront":
                break;
            case "ioemu":
                _ignored.Add("type=ioemu");
                break;
            default:
                Fail($"type={Show(value)} is not one of user, bridge, internal", at);
                break;
        }
    }

    private void TakeTrunk(string value, int at)
    {
        foreach (string part in value.Split(':'))
        {
            int dash = part.IndexOf('-', StringComparison.Ordinal);
            int first = TakeNumber("trunk", dash < 0 ? part : part[..dash], at, 1, HighestVlan);
            int last = dash < 0 ? first : TakeNumber("trunk", part[(dash + 1)..], at, 1, HighestVlan);
            if (last < first)
            {
                Fail($"trunk={Show(value)}: {Show(part)} goes backwards", at);
            }

            if (_problem is not null)
            {
                return;
            }

            _trunk.AddRange(Enumerable.Range(first, last - first + 1));
            if (_trunk.Count > HighestVlan)
            {
                Fail($"trunk={Show(value)} names VLANs again and again", at);
            }
        }
    }

    /// <summary>Several with blanks between, as xl's scripts take them; IPv4 with a mask, which is not used.</summary>
    private void TakeAddresses(string value, int at)
    {
        foreach (string part in value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string address = part.Split('/')[0];
            bool isGood = IPAddress.TryParse(address, out IPAddress? parsed) && (parsed.AddressFamily == AddressFamily.InterNetworkV6 || IsIpV4(address));
            if (!isGood || _addresses.Count == MostAddresses)
            {
                Fail(isGood ? $"more than {MostAddresses} addresses" : $"ip={Show(part)} is no IP address", at);
                return;
            }

            _addresses.Add(parsed!.ToString());
        }
    }

    private void TakeForward(string value, int at)
    {
        _forwardAt = at;
        string[] parts = value.Split(':');
        bool isGood = parts.Length is 3 or 4 && parts[0] is "tcp" or "udp";
        string? address = isGood && parts.Length == 4 ? parts[1] : null;
        if (!isGood || (address is not null && !IsIpV4(address)))
        {
            Fail($"forward={Show(value)} is not of the form tcp:HOSTPORT:GUESTPORT or tcp:ADDRESS:HOSTPORT:GUESTPORT", at);
            return;
        }

        PortForward forward = new(parts[0] == "udp", address, TakeNumber("forward", parts[^2], at, 1, 65535), TakeNumber("forward", parts[^1], at, 1, 65535));
        if (_forwards.Find(forward.IsInTheWayOf) is { } other)
        {
            Fail($"forward={Show(value)}: port {forward.HostPort} of the host is taken by forward={other}", at);
        }

        _forwards.Add(forward);
        if (_forwards.Count > MostForwards)
        {
            Fail($"more than {MostForwards} forwards", at);
        }
    }

    /// <summary>Written out: "1" would be an address as well.</summary>
    private static bool IsIpV4(string text) =>
        text.Count(c => c == '.') == 3 && IPAddress.TryParse(text, out IPAddress? parsed) && parsed.AddressFamily == AddressFamily.InterNetwork;

    private int TakeNumber(string key, string value, int at, int least, int most)
    {
        if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most)
        {
            return number;
        }

        Fail($"{key}={Show(value)} is no number from {least} to {most}", at);
        return least;
    }

    private bool TakeSwitch(string key, string value, int at)
    {
        if (value is not ("yes" or "no" or "1" or "0" or "on" or "off"))
        {
            Fail($"{key}={Show(value)} is not one of yes, no", at);
        }

        return value is "yes" or "1" or "on";
    }

    private void Fail(string problem, int at)
    {
        if (_problem is null)
        {
            _problem = problem;
            _problemAt = at;
        }
    }

    private static string Show(string text)
    {
        string cut = text.Length > 40 ? text[..37] + "..." : text;
        return $"'{string.Concat(cut.Select(c => char.IsControl(c) ? '?' : c))}'";
    }
}
