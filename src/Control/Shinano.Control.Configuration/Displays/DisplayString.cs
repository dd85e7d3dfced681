using System.Globalization;
using System.Net;

namespace Shinano.Control.Configuration.Displays;

/// <summary>
/// Reads an entry of <c>vfb</c>: <c>key=value</c> pairs with commas between. Source: xl.cfg(5), "Virtual Framebuffer"; <c>type=vnc</c> is of the older xm.
/// </summary>
public static class DisplayString
{
    /// <summary>5900 + display is a TCP port.</summary>
    public const int MaximumDisplay = 65535 - 5900;

    /// <summary>Characters of a VNC password that count (RFC 6143 §7.2.2).</summary>
    public const int PasswordLength = 8;

    /// <summary>Reads it.</summary>
    /// <returns>The display, or a problem and where in the text it is; and what is to be warned of.</returns>
    public static (DisplayConfiguration? Display, string? Problem, int At, IReadOnlyList<string> Warnings) Read(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        DisplayConfiguration display = new();
        List<string> warnings = [];
        int at = 0;
        foreach (string part in text.Split(','))
        {
            int start = at + (part.Length - part.TrimStart().Length);
            at += part.Length + 1;
            string word = part.Trim();
            if (word.Length == 0)
            {
                continue;
            }

            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                return (null, $"'{Shorten(word)}' is no key=value", start, warnings);
            }

            string key = word[..equals].TrimEnd();
            string value = Unquote(word[(equals + 1)..].Trim());
            if (Apply(key, value, warnings, ref display) is { } problem)
            {
                return (null, problem, start, warnings);
            }
        }

        return (display, null, 0, warnings);
    }

    private static string? Apply(string key, string value, List<string> warnings, ref DisplayConfiguration display)
    {
        switch (key)
        {
            case "type":
                return value == "vnc" ? null : $"type={Shorten(value)} is not supported: only vnc is";
            case "vnc":
                return ReadFlag(key, value, ref display, static (d, flag) => d with { IsShown = flag });
            case "vncunused":
                return ReadFlag(key, value, ref display, static (d, flag) => d with { FindUnused = flag });
            case "vncdisplay":
                return ReadDisplay(key, value, ref display);
            case "vnclisten":
                return ReadListen(value, ref display);
            case "vncpasswd" when value.Length == 0:
                display = display with { Password = null };
                return null;
            case "vncpasswd":
                if (value.Any(c => c is < ' ' or > '~'))
                {
                    return "vncpasswd has characters that are not printable ASCII";
                }

                if (value.Length > PasswordLength)
                {
                    warnings.Add($"only the first {PasswordLength} characters of vncpasswd count");
                }

                display = display with { Password = value };
                return null;
            case "sdl" or "opengl":
                return value is "0" or "" ? null : $"{key}={Shorten(value)} is not supported: only vnc is";
            case "keymap" or "xauthority" or "display" or "videoram" or "vncconsole":
                warnings.Add($"'{key}' of a vfb does nothing here");
                return null;
            default:
                return $"'{Shorten(key)}' is no key of vfb: vnc, vnclisten, vncdisplay, vncunused, vncpasswd";
        }
    }

    private static string? ReadFlag(
        string key, string value, ref DisplayConfiguration display, Func<DisplayConfiguration, bool, DisplayConfiguration> set)
    {
        if (value is not ("0" or "1"))
        {
            return $"{key}={Shorten(value)} is not 0 or 1";
        }

        display = set(display, value == "1");
        return null;
    }

    private static string? ReadDisplay(string key, string value, ref DisplayConfiguration display)
    {
        if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number > MaximumDisplay)
        {
            return $"{key}={Shorten(value)} is no display: 0 to {MaximumDisplay}";
        }

        display = display with { Display = number };
        return null;
    }

    /// <summary>ADDRESS or ADDRESS:DISPLAY, and IPv6 addresses in brackets when a display follows.</summary>
    private static string? ReadListen(string value, ref DisplayConfiguration display)
    {
        string address = value;
        int colon = value.LastIndexOf(':');
        bool bracketed = value.StartsWith('[');
        if (colon > 0 && (bracketed ? value[colon - 1] == ']' : value.IndexOf(':', StringComparison.Ordinal) == colon))
        {
            address = value[..colon];
            if (ReadDisplay("vnclisten's display", value[(colon + 1)..], ref display) is { } problem)
            {
                return problem;
            }
        }

        if (bracketed)
        {
            address = address.Trim('[', ']');
        }

        if (!IPAddress.TryParse(address, out IPAddress? parsed))
        {
            return $"vnclisten={Shorten(value)} is no address, such as 127.0.0.1 or 0.0.0.0:1";
        }

        display = display with { Listen = parsed.ToString() };
        return null;
    }

    private static string Unquote(string value) => value.Length >= 2 && (value[0] is '"' or '\'') && value[^1] == value[0] ? value[1..^1] : value;

    private static string Shorten(string text) => text.Length > 40 ? text[..37] + "..." : text;
}
