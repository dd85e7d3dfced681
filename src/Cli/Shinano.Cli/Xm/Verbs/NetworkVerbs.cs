using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Network interfaces of a running domain: network-attach, network-detach, network-list, network-limit.</summary>
internal static class NetworkVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddAttach(root, environment);
        AddDetach(root, environment);
        AddList(root, environment);
        AddLimit(root, environment);
    }

    /// <summary>xm's words key=value, or one word with commas.</summary>
    private static void AddAttach(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string[]> vif = new("vif")
        {
            Arity = ArgumentArity.ZeroOrMore,
            Description = "The interface as in a configuration, or in words: bridge=xenbr0 rate=10Mb/s",
        };
        Verb.Add(root, environment, "network-attach", "Attaches a network interface to a running domain.", [domain, vif], (result, xend, token) =>
            xend.AttachVifAsync(result.GetRequiredValue(domain), new VifRequest(string.Join(',', result.GetValue(vif) ?? [])), token));
    }

    private static void AddDetach(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> device = new("device") { Description = "Number, or MAC address" };
        Option<bool> force = Verb.Flag("--force", "Do not ask the guest", "-f");
        Verb.Add(root, environment, "network-detach", "Detaches a network interface from a running domain.", [domain, device, force], (result, xend, token) =>
            xend.DetachVifAsync(result.GetRequiredValue(domain), new DetachRequest(result.GetRequiredValue(device), result.GetValue(force)), token));
    }

    private static void AddList(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> detailed = Verb.Flag("--long", "Switch, limits and counters too", "-l");
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "network-list", "Lists the network interfaces of a domain.", [domain, detailed, json], async (result, xend, token) =>
        {
            IReadOnlyList<VifDetails> vifs = await xend.ListVifsAsync(result.GetRequiredValue(domain), token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(vifs));
                return;
            }

            environment.WriteLine($"Idx BE     Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path");
            foreach (VifDetails vif in vifs)
            {
                string rings = $"{Guest(vif.TransmitRingReference)}/{Guest(vif.ReceiveRingReference)}";
                environment.WriteLine($"{vif.Id,-3} {0,-6} {vif.Mac,-17} {vif.Id,6} {vif.State,5} {Guest(vif.EventChannel),6} {rings,17} {vif.BackEndPath}");
                if (result.GetValue(detailed))
                {
                    environment.WriteLine($"    {(vif.Switch is { } vnic ? VnicText.Describe(vnic) : "the switch does not have it")}");
                    environment.WriteLine($"    {Counters(vif.Status)}");
                }
            }
        });
    }

    private static void AddLimit(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> device = new("device") { Description = "Number, or MAC address" };
        Argument<string> rate = VnicText.Rate();
        Verb.Add(root, environment, "network-limit", "Limits what a domain may send through an interface.", [domain, device, rate], async (result, xend, token) =>
        {
            string wanted = result.GetRequiredValue(device);
            VifDetails vif = (await xend.ListVifsAsync(result.GetRequiredValue(domain), token))
                .FirstOrDefault(one => one.Id == wanted || string.Equals(one.Mac, wanted, StringComparison.OrdinalIgnoreCase))
                ?? throw new InvalidOperationException($"domain '{result.GetRequiredValue(domain)}' has no interface {wanted}");
            await xend.LimitVnicAsync(vif.Switch?.Name ?? vif.Vnic ?? "", new VnicLimitRequest(VnicText.ParseRate(result.GetRequiredValue(rate))), token);
        });
    }

    /// <summary>A number that the guest wrote; nothing else of its making reaches the terminal.</summary>
    private static string Guest(string? text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) ? number.ToString(CultureInfo.InvariantCulture) : "-1";

    private static string Counters(DeviceStatus? status) => status is null
        ? "no answer"
        : status.Error ?? string.Join(' ', status.Counters.Select(counter => string.Create(CultureInfo.InvariantCulture, $"{counter.Name}={counter.Value}")));
}
