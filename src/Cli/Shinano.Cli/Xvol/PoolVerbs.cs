using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>check, pool-create, pool-destroy, pool-list.</summary>
internal static class PoolVerbs
{
    public static void AddTo(Command root, XvolContext context)
    {
        AddCheck(root, context);
        Option<string?> directory = new("--directory") { Description = "Where it is to be; by default below Shinano's state directory", HelpName = "directory" };
        Option<string?> dataset = new("--zfs") { Description = "A dataset of the host's ZFS that its volumes are to be in", HelpName = "dataset" };
        Argument<string> name = new("pool") { Description = "Its name, as tank" };
        context.Add(root, "pool-create", "Makes a pool. The pool 'tank' is made by itself.", [directory, dataset, name], (result, _) =>
        {
            context.Pools.Create(result.GetRequiredValue(name), result.GetValue(directory), result.GetValue(dataset));
            return Task.CompletedTask;
        });
        Argument<string> gone = new("pool") { Description = "A pool without volumes" };
        context.Add(root, "pool-destroy", "Takes a pool away.", [gone], (result, _) =>
        {
            context.Pools.Destroy(result.GetRequiredValue(gone));
            return Task.CompletedTask;
        });
        context.Add(root, "pool-list", "Lists pools and where they are.", [], async (_, _) =>
        {
            foreach (string pool in context.Pools.Names())
            {
                string place = context.Pools.Get(pool) is DirectoryPool own ? own.Root : "the host's ZFS";
                await context.Environment.Output.WriteLineAsync($"{pool}\t{place}");
            }
        });
    }

    private static void AddCheck(Command root, XvolContext context)
    {
        Option<bool> repair = Verb.Flag("--repair", "Free leaked clusters, set refcounts right, remove left-overs");
        Argument<string> name = context.Any("A pool, or a volume with the layers that it builds on");
        Command command = new("check", "Checks a pool or a volume; exit code 1 when something is wrong and stays so.") { repair, name };
        command.SetAction(async (result, token) =>
        {
            VolumeName parsed = VolumeName.Parse(result.GetRequiredValue(name), "check");
            DirectoryPool pool = context.Pools.GetDirectoryPool(parsed, "check");
            using TransferDisplay display = new(context.Environment, $"checking {parsed}");
            IReadOnlyList<string> found = await PoolCheck.RunAsync(pool, parsed.Volume.Length == 0 ? null : parsed, result.GetValue(repair), display, token);
            display.Dispose();
            foreach (string line in found)
            {
                await context.Environment.Output.WriteLineAsync(line);
            }

            if (found.Count == 0)
            {
                await context.Environment.Output.WriteLineAsync($"{parsed}: no errors");
            }

            bool isMended = found.All(line => line.EndsWith(", repaired", StringComparison.Ordinal) || line.EndsWith(", removed", StringComparison.Ordinal));
            return isMended ? ExitCodes.Success : ExitCodes.Failure;
        });
        root.Add(command);
    }
}
