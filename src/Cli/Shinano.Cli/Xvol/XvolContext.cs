using System.CommandLine;
using System.CommandLine.Completions;
using Shinano.Cli.Xm;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>What xvol's verbs share: the pools, names that complete, and how a verb is made.</summary>
internal sealed class XvolContext(XmEnvironment environment)
{
    public XmEnvironment Environment => environment;

    public VolumePools Pools { get; } = new(environment.Paths);

    /// <summary>An argument that names a volume or snapshot and completes to those there are.</summary>
    public Argument<string> Name(string name, string description, Func<VolumeInfo, bool> completes)
    {
        Argument<string> argument = new(name) { HelpName = name, Description = description };
        argument.CompletionSources.Add(_ => Complete(completes));
        return argument;
    }

    public Argument<string> Volume(string description = "A volume, as tank/solaris") => Name("volume", description, info => info.Type == "volume");

    public Argument<string> Snapshot(string description = "A snapshot, as tank/solaris@today") => Name("snapshot", description, info => info.Type == "snapshot");

    public Argument<string> Any(string description) => Name("name", description, _ => true);

    public IVolumePool PoolOf(VolumeName name) => Pools.Get(name.Pool);

    public void Add(Command root, string name, string description, IReadOnlyList<Symbol> symbols, Func<ParseResult, CancellationToken, Task> run)
    {
        Command command = new(name, description);
        foreach (Symbol symbol in symbols)
        {
            if (symbol is Argument argument)
            {
                command.Add(argument);
            }
            else
            {
                command.Add((Option)symbol);
            }
        }

        command.SetAction(async (result, cancellationToken) =>
        {
            await run(result, cancellationToken);
            return ExitCodes.Success;
        });
        root.Add(command);
    }

    private IEnumerable<CompletionItem> Complete(Func<VolumeInfo, bool> completes)
    {
        try
        {
            return [.. Pools.Names().SelectMany(pool => Task.Run(() => Pools.Get(pool).ListAsync()).GetAwaiter().GetResult()).Where(completes).Select(info => new CompletionItem(info.Name))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
