using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Cli.Xm.Verbs;

namespace Shinano.Cli.Xvol;

/// <summary>xvol: pools and volumes in the words of zfs(8). Works on the pools' files itself; no daemon is needed.</summary>
internal static class XvolTool
{
    public static Task<int> RunAsync(string[] arguments, XmEnvironment environment) =>
        ToolRunner.RunVerbAsync(Build(environment), arguments, environment);

    /// <summary>The grammar of xvol; completion reads it too.</summary>
    public static Command Build(XmEnvironment environment)
    {
        Command root = ToolRunner.Root("xvol", "Manages volumes: disks that snapshot and clone in an instant.");
        XvolContext context = new(environment);
        VolumeVerbs.AddTo(root, context);
        SnapshotVerbs.AddTo(root, context);
        FlattenVerb.AddTo(root, context);
        VolumeListVerbs.AddTo(root, context);
        TransferVerbs.AddTo(root, context);
        PoolVerbs.AddTo(root, context);
        CompletionVerb.AddTo(root, environment);
        ToolRunner.AddHelp(root);
        return root;
    }
}
