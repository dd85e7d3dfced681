using System.CommandLine;
using System.Globalization;
using Shinano.Control.Configuration.Networks;
using Shinano.Network.Control;

namespace Shinano.Cli.Xm;

/// <summary>Vnics and rates as text.</summary>
internal static class VnicText
{
    private const string NoLimit = "none";

    /// <summary>An argument that is a rate.</summary>
    public static Argument<string> Rate()
    {
        Argument<string> rate = new("rate") { Description = "10Mb/s, 250KB/s, 1Gb/s; none ends the limit" };
        rate.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: { } text }] && text != NoLimit && RateText.TryParse(text) is null)
            {
                result.AddError($"'{text}' is no rate: 10Mb/s, 250KB/s, 1Gb/s, or none");
            }
        });
        return rate;
    }

    /// <summary>Bytes in a second; null for no limit.</summary>
    public static long? ParseRate(string text) => text == NoLimit ? null : RateText.TryParse(text);

    /// <summary>A vnic's settings in one line.</summary>
    public static string Describe(VnicStatus vnic)
    {
        string vlan = vnic.Trunk.Count > 0 ? $" trunk={string.Join(':', vnic.Trunk)}" : "";
        string addresses = vnic.Addresses.Count > 0 ? $" ip={string.Join(' ', vnic.Addresses)}" : "";
        return string.Create(
            CultureInfo.InvariantCulture, $"{vnic.Name} bridge={vnic.Bridge} uplink={vnic.Uplink} vlan={vnic.Vlan}{vlan} rate={FormatRate(vnic)}{addresses}");
    }

    public static string FormatRate(VnicStatus vnic) => vnic.BytesPerSecond is { } rate ? RateText.Format(rate) : NoLimit;

    /// <summary>"up", "down" (no domain is connected) or "cut" (its uplink is gone).</summary>
    public static string State(VnicStatus vnic) => !vnic.IsConnected ? "down" : vnic.IsUplinkConnected ? "up" : "cut";
}
