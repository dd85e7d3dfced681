using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Snapshots of domains, memory and disks together: snapshot-create, -list, -revert, -delete.</summary>
internal static class SnapshotVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddCreate(root, environment);
        AddList(root, environment);
        AddRevert(root, environment);
        AddDelete(root, environment);
    }

    private static void AddCreate(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string?> name = new("name") { Arity = ArgumentArity.ZeroOrOne, Description = "The snapshot's name; the present second when it is left out" };
        Option<bool> json = Verb.Json();
        Verb.Add(
            root, environment, "snapshot-create", "Takes a snapshot of a running domain, memory and disks together.", [domain, name, json], async (result, xend, token) =>
            {
                DomainSnapshotInfo taken = await xend.CreateSnapshotAsync(result.GetRequiredValue(domain), new DomainSnapshotRequest(result.GetValue(name)), token);
                if (result.GetValue(json))
                {
                    await environment.Output.WriteLineAsync(JsonText.Of(taken));
                }
                else
                {
                    environment.WriteLine($"Domain snapshot {taken.Name} created");
                }
            });
    }

    private static void AddList(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "snapshot-list", "Lists the snapshots of a domain, the current one with a star.", [domain, json], async (result, xend, token) =>
        {
            IReadOnlyList<DomainSnapshotInfo> snapshots = await xend.ListSnapshotsAsync(result.GetRequiredValue(domain), token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(snapshots));
                return;
            }

            environment.WriteLine($"  {"Name",-20} {"Creation Time",-25} {"State",-8} {"Memory",8} Parent");
            foreach (DomainSnapshotInfo snapshot in snapshots)
            {
                if (snapshot.Problem is { } problem)
                {
                    environment.WriteLine($"  {snapshot.Name,-20} {problem.Message}");
                    continue;
                }

                char star = snapshot.Current ? '*' : ' ';
                string state = snapshot.Paused ? "paused" : "running";
                long size = (snapshot.MemoryBytes + 0xFFFFF) >> 20;
                environment.WriteLine($"{star} {snapshot.Name,-20} {Time(snapshot.Taken),-25} {state,-8} {size,4} MiB {snapshot.Parent ?? "-"}");
            }
        });
    }

    private static void AddRevert(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> name = new("snapshot") { Description = "A name of xm snapshot-list" };
        Option<bool> console = Verb.Flag("--console", CreationVerbs.ConsoleHelp, "-c");
        Option<bool> running = Verb.Flag("--running", "Let the domain run, also if it was paused then");
        Option<bool> paused = Verb.Flag("--paused", "Leave the domain paused", "-p");
        Option<bool> verbose = Verb.Flag("--verbose", "Show the stages", "-v");
        Option<bool> quiet = Verb.Flag("--quiet", "Print nothing but errors", "-q");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root,
            environment,
            "snapshot-revert",
            "Makes a domain what it was at a snapshot; what it did since the snapshot that it comes from is lost.",
            [domain, name, console, running, paused, verbose, quiet, json],
            async (result, xend, token) =>
            {
                bool follow = result.GetValue(console);
                bool? leave = follow || result.GetValue(paused) ? true : result.GetValue(running) ? false : null;
                CreatedDomain reverted;
                using (CreationProgress progress = new(environment, result.GetValue(verbose)))
                {
                    reverted = await xend.RevertSnapshotAsync(
                        result.GetRequiredValue(domain), result.GetRequiredValue(name), new RevertRequest(leave), progress.Observe, token);
                }

                return await CreationVerbs.ReportAsync(
                    environment, xend, reverted, follow, result.GetValue(paused), result.GetValue(json), result.GetValue(quiet), token);
            });
    }

    private static void AddDelete(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> name = new("snapshot") { Description = "A name of xm snapshot-list" };
        Option<bool> metadata = Verb.Flag("--metadata", "Leave the volumes' snapshots; also for a snapshot whose record is damaged");
        Verb.Add(root, environment, "snapshot-delete", "Deletes a snapshot of a domain.", [domain, name, metadata], async (result, xend, token) =>
        {
            string snapshot = result.GetRequiredValue(name);
            await xend.DeleteSnapshotAsync(result.GetRequiredValue(domain), snapshot, result.GetValue(metadata), token);
            environment.WriteLine($"Domain snapshot {snapshot} deleted");
        });
    }

    private static string Time(DateTimeOffset? time) => time?.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss zzz", CultureInfo.InvariantCulture) ?? "";
}
