using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Disks of a running domain: block-attach, block-detach, block-list, block-configure.</summary>
internal static class BlockVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddDisk(root, environment, "block-attach", "Attaches a disk to a running domain.", (xend, domain, request, token) =>
            xend.AttachDiskAsync(domain, request, token));
        AddDisk(
            root,
            environment,
            "block-configure",
            "Changes the medium of a drive, or tells the guest a disk's new size.",
            (xend, domain, request, token) => xend.ConfigureDiskAsync(domain, request, token));
        AddDetach(root, environment);
        AddList(root, environment);
    }

    /// <summary>xm's words BACKDEV FRONTDEV MODE, or xl's one word or several: both are the disk's parts with commas between.</summary>
    private static void AddDisk(
        Command root,
        XmEnvironment environment,
        string name,
        string description,
        Func<XendClient, string, DiskRequest, CancellationToken, Task> run)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string[]> disk = new("disk")
        {
            Arity = ArgumentArity.OneOrMore,
            Description = "The disk as in a configuration, or in words: file:/path.img xvdb w",
        };
        Verb.Add(root, environment, name, description, [domain, disk], (result, xend, token) =>
            run(xend, result.GetRequiredValue(domain), new DiskRequest(string.Join(',', result.GetRequiredValue(disk)), Environment.CurrentDirectory), token));
    }

    private static void AddDetach(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> device = new("device") { Description = "Name in the guest, or number: xvdb, 51728" };
        Option<bool> force = Verb.Flag("--force", "Do not ask the guest", "-f");
        Verb.Add(root, environment, "block-detach", "Detaches a disk from a running domain.", [domain, device, force], (result, xend, token) =>
            xend.DetachDiskAsync(result.GetRequiredValue(domain), new DetachRequest(result.GetRequiredValue(device), result.GetValue(force)), token));
    }

    private static void AddList(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> detailed = Verb.Flag("--long", "File, mode and counters too", "-l");
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "block-list", "Lists the disks of a domain.", [domain, detailed, json], async (result, xend, token) =>
        {
            IReadOnlyList<DiskDetails> disks = await xend.ListDisksAsync(result.GetRequiredValue(domain), token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(disks));
                return;
            }

            environment.WriteLine($"Vdev  BE  handle state evt-ch ring-ref BE-path");
            foreach (DiskDetails disk in disks)
            {
                environment.WriteLine(
                    $"{disk.Id,-5} {0,-3} {0,6} {disk.State,5} {Guest(disk.EventChannel),6} {Guest(disk.RingReference),8} {disk.BackEndPath}");
                if (result.GetValue(detailed))
                {
                    environment.WriteLine($"      {disk.VirtualDevice} {disk.Mode} {disk.Parameters}");
                    environment.WriteLine($"      {Counters(disk.Status)}");
                }
            }
        });
    }

    /// <summary>A number that the guest wrote; nothing else of its making reaches the terminal.</summary>
    private static string Guest(string? text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) ? number.ToString(CultureInfo.InvariantCulture) : "-1";

    private static string Counters(DeviceStatus? status) => status is null
        ? "no answer"
        : status.Error ?? string.Join(' ', status.Counters.Select(counter => string.Create(CultureInfo.InvariantCulture, $"{counter.Name}={counter.Value}")));
}
