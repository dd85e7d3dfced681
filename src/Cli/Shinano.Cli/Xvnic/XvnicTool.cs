using System.CommandLine;
using System.Globalization;
using Shinano.Cli.Xm;
using Shinano.Cli.Xm.Verbs;
using Shinano.Control.Api.Xend;
using Shinano.Network.Control;

namespace Shinano.Cli.Xvnic;

/// <summary>xvnic: the vnics of the host, as dladm showed them: list, show, limit, capture.</summary>
internal static class XvnicTool
{
    public static Task<int> RunAsync(string[] arguments, XmEnvironment environment) =>
        ToolRunner.RunVerbAsync(Build(environment), arguments, environment);

    /// <summary>The grammar of xvnic; completion reads it too.</summary>
    public static Command Build(XmEnvironment environment)
    {
        Command root = ToolRunner.Root("xvnic", "Shows and limits the virtual network interfaces of domains, and captures what passes them.");
        AddList(root, environment);
        AddShow(root, environment);
        AddLimit(root, environment);
        Command capture = new("capture", "Captures what passes a vnic into a file that tcpdump and wireshark read.");
        AddStart(capture, environment);
        AddStop(capture, environment);
        root.Add(capture);
        CompletionVerb.AddTo(root, environment);
        ToolRunner.AddHelp(root);
        return root;
    }

    private static Argument<string> Vnic() => new("vnic") { Description = "Name of a vnic: vnic42" };

    private static void AddList(Command root, XmEnvironment environment)
    {
        Option<bool> json = Verb.Json();
        Option<bool> counters = Verb.Flag("--statistics", "Counters instead of settings", "-s");
        Verb.Add(root, environment, "list", "Lists the vnics.", [counters, json], async (result, xend, token) =>
        {
            IReadOnlyList<VnicStatus> vnics = await xend.ListVnicsAsync(token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(vnics));
            }
            else if (result.GetValue(counters))
            {
                environment.WriteLine($"{"VNIC",-12} {"IPACKETS",10} {"RBYTES",12} {"OPACKETS",10} {"OBYTES",12} {"REFUSED",8} {"DROPPED",8}");
                foreach (VnicStatus vnic in vnics)
                {
                    VnicCounters c = vnic.Counters;
                    environment.WriteLine(
                        $"{vnic.Name,-12} {c.ReceivedFrames,10} {c.ReceivedBytes,12} {c.SentFrames,10} {c.SentBytes,12} {c.Refused,8} {c.Dropped,8}");
                }
            }
            else
            {
                environment.WriteLine($"{"VNIC",-12} {"OVER",-15} {"MACADDRESS",-17} {"VID",4} {"UPLINK",-6} {"STATE",-5} {"LIMIT",-10}");
                foreach (VnicStatus vnic in vnics)
                {
                    environment.WriteLine(
                        $"{vnic.Name,-12} {vnic.Bridge,-15} {vnic.Mac,-17} {vnic.Vlan,4} {vnic.Uplink,-6} {VnicText.State(vnic),-5} {VnicText.FormatRate(vnic),-10}");
                }
            }
        });
    }

    private static void AddShow(Command root, XmEnvironment environment)
    {
        Argument<string> name = Vnic();
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "show", "Shows one vnic.", [name, json], async (result, xend, token) =>
        {
            string wanted = result.GetRequiredValue(name);
            VnicStatus vnic = (await xend.ListVnicsAsync(token)).FirstOrDefault(one => one.Name == wanted)
                ?? throw new InvalidOperationException($"there is no vnic {wanted}");
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(vnic));
                return;
            }

            VnicCounters c = vnic.Counters;
            environment.WriteLine($"{VnicText.Describe(vnic)}");
            environment.WriteLine($"mac={vnic.Mac} state={VnicText.State(vnic)} capture={vnic.Capture ?? "none"}");
            environment.WriteLine($"sent: {c.SentFrames} frames, {c.SentBytes} bytes, {c.Refused} refused");
            environment.WriteLine($"received: {c.ReceivedFrames} frames, {c.ReceivedBytes} bytes, {c.Dropped} dropped");
        });
    }

    private static void AddLimit(Command root, XmEnvironment environment)
    {
        Argument<string> name = Vnic();
        Argument<string> rate = VnicText.Rate();
        Verb.Add(root, environment, "limit", "Limits what a vnic's guest may send.", [name, rate], (result, xend, token) =>
            xend.LimitVnicAsync(result.GetRequiredValue(name), new VnicLimitRequest(VnicText.ParseRate(result.GetRequiredValue(rate))), token));
    }

    private static void AddStart(Command root, XmEnvironment environment)
    {
        Argument<string> name = Vnic();
        Argument<string> file = new("file") { Description = "A file that is not there yet" };
        Verb.Add(root, environment, "start", "Begins a capture.", [name, file], (result, xend, token) =>
            xend.StartCaptureAsync(result.GetRequiredValue(name), new VnicCaptureRequest(Path.GetFullPath(result.GetRequiredValue(file))), token));
    }

    private static void AddStop(Command root, XmEnvironment environment)
    {
        Argument<string> name = Vnic();
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "stop", "Ends a capture.", [name, json], async (result, xend, token) =>
        {
            CaptureSummary summary = await xend.StopCaptureAsync(result.GetRequiredValue(name), token);
            await environment.Output.WriteLineAsync(result.GetValue(json)
                ? JsonText.Of(summary)
                : string.Create(CultureInfo.InvariantCulture, $"{summary.Path}: {summary.Frames} frames, {summary.Missed} missed"));
        });
    }
}
