using System.CommandLine;
using Shinano.Cli.Xm.Verbs;

namespace Shinano.Cli.Xm;

/// <summary>xm: the grammar of its verbs.</summary>
internal static class XmTool
{
    public static Task<int> RunAsync(string[] arguments, XmEnvironment environment) =>
        ToolRunner.RunVerbAsync(Build(environment), arguments, environment);

    /// <summary>The grammar of xm; completion reads it too.</summary>
    public static Command Build(XmEnvironment environment)
    {
        Command root = ToolRunner.Root("xm", "Controls Shinano's domains.");
        ListVerbs.AddTo(root, environment);
        CreationVerbs.AddTo(root, environment);
        LifeVerbs.AddTo(root, environment);
        SaveVerbs.AddTo(root, environment);
        SnapshotVerbs.AddTo(root, environment);
        MigrationVerbs.AddTo(root, environment);
        MigrationSettingVerbs.AddTo(root, environment);
        ForkVerb.AddTo(root, environment);
        ResourceVerbs.AddTo(root, environment);
        SchedulingVerbs.AddTo(root, environment);
        VncViewerVerb.AddTo(root, environment);
        BlockVerbs.AddTo(root, environment);
        NetworkVerbs.AddTo(root, environment);
        PerfStatVerb.AddTo(root, environment);
        HostVerbs.AddTo(root, environment);
        QuickstartVerb.AddTo(root, environment);
        CompletionVerb.AddTo(root, environment);
        ToolRunner.AddHelp(root);
        return root;
    }
}
