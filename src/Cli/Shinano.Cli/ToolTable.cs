using Shinano.Cli.Images;
using Shinano.Cli.XenStore;
using Shinano.Cli.Xentop;
using Shinano.Cli.Xm;
using Shinano.Cli.Xvnic;
using Shinano.Cli.Xvol;

namespace Shinano.Cli;

/// <summary>The tools this multi-call program knows, by the name they are called by.</summary>
internal static class ToolTable
{
    /// <summary>Each tool gets the arguments after its name and returns its exit code.</summary>
    internal static IReadOnlyDictionary<string, Func<string[], Task<int>>> Tools { get; } = Create();

    private static SortedDictionary<string, Func<string[], Task<int>>> Create()
    {
        var tools = new SortedDictionary<string, Func<string[], Task<int>>>(StringComparer.Ordinal);
        XenStoreTools.AddTo(tools);
        tools.Add("xm", arguments => XmTool.RunAsync(arguments, XmEnvironment.Real()));
        tools.Add("xentop", arguments => XentopTool.RunAsync(arguments, XmEnvironment.Real()));
        tools.Add("xvnic", arguments => XvnicTool.RunAsync(arguments, XmEnvironment.Real()));
        tools.Add("virt-make-image", arguments => MakeImageTool.RunAsync(arguments, XmEnvironment.Real()));
        tools.Add("xend", arguments => XendTool.RunAsync(arguments, XmEnvironment.Real()));
        tools.Add("xvol", arguments => XvolTool.RunAsync(arguments, XmEnvironment.Real()));
        return tools;
    }
}
