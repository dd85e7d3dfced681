using System.Net.Sockets;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>The xenstore-* tools, with the options, output and exit codes of Debian's xenstore-utils.</summary>
internal static class XenStoreTools
{
    private static readonly XenStoreTool[] Tools =
    [
        new("xenstore-chmod", "[-h] [-u] [-r] [-s] key <mode [modes...]>", "ur", ChangeTools.ChangeModeAsync),
        new("xenstore-exists", "[-h] [-p] [-s] key [...]", "", ReadTools.ExistsAsync),
        new("xenstore-list", "[-h] [-p] [-s] key [...]", "p", ReadTools.ListAsync),
        new("xenstore-ls", "[-h] [-f] [-p] [-s] [path]", "fp", TreeTool.RunAsync),
        new("xenstore-read", "[-h] [-p] [-s] [-R] key [...]", "pR", ReadTools.ReadAsync),
        new("xenstore-rm", "[-h] [-s] [-t] key [...]", "t", ChangeTools.RemoveAsync),
        new("xenstore-snoop", "[-h] [-n NR]", "n", SnoopTool.RunAsync),
        new("xenstore-watch", "[-h] [-n NR] key", "n", WatchTool.RunAsync),
        new("xenstore-write", "[-h] [-s] [-R] key value [...]", "R", ChangeTools.WriteAsync),
    ];

    /// <summary>Adds the tools to the table of the program.</summary>
    internal static void AddTo(IDictionary<string, Func<string[], Task<int>>> table)
    {
        foreach (XenStoreTool tool in Tools)
        {
            table.Add(tool.Name, arguments => RunAsync(tool, arguments));
        }
    }

    private static async Task<int> RunAsync(XenStoreTool tool, string[] arguments)
    {
        await using var output = new BufferedStream(Console.OpenStandardOutput());
        try
        {
            return await tool.RunAsync(new ToolArguments(arguments, tool.Options), output);
        }
        catch (ToolUsageException misuse)
        {
            if (misuse.Message is { Length: > 0 } message && !message.Contains(nameof(ToolUsageException), StringComparison.Ordinal))
            {
                await Console.Error.WriteLineAsync($"{tool.Name}: {message}");
            }

            await Console.Error.WriteLineAsync($"{tool.Name}: Usage: {tool.Name} {tool.Usage}");
            return 1;
        }
        catch (Exception failure) when (failure is ToolFailureException or XenStoreException or IOException or SocketException)
        {
            await Console.Error.WriteLineAsync($"{tool.Name}: {failure.Message}");
            return 1;
        }
    }
}
