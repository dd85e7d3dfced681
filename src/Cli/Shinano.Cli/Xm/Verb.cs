using System.CommandLine;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>Small words that the verbs are written in.</summary>
internal static class Verb
{
    public static Option<bool> Json() => new("--json") { Description = "Print JSON, for programs" };

    public static Option<bool> Flag(string name, string description, params string[] aliases) => new(name, aliases) { Description = description };

    /// <summary>An argument that names a domain and completes to those there are.</summary>
    public static Argument<string> Domain(XmEnvironment environment, string name = "domain")
    {
        Argument<string> argument = new(name) { HelpName = name, Description = "Name, id or uuid of a domain" };
        argument.CompletionSources.Add(_ => DomainCompletion.Names(environment));
        return argument;
    }

    /// <summary>A verb with its arguments and options, in their order, and nothing to do yet.</summary>
    public static Command New(string name, string description, IReadOnlyList<Symbol> symbols)
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

        return command;
    }

    /// <summary>Adds a verb that talks to xend and returns an exit code.</summary>
    public static void Add(
        Command root,
        XmEnvironment environment,
        string name,
        string description,
        IReadOnlyList<Symbol> symbols,
        Func<ParseResult, XendClient, CancellationToken, Task<int>> run)
    {
        Command command = New(name, description, symbols);
        command.SetAction(async (result, cancellationToken) =>
        {
            using XendClient xend = await environment.ConnectAsync(cancellationToken);
            return await run(result, xend, cancellationToken);
        });
        root.Add(command);
    }

    /// <summary>The same for a verb that only succeeds or throws.</summary>
    public static void Add(
        Command root,
        XmEnvironment environment,
        string name,
        string description,
        IReadOnlyList<Symbol> symbols,
        Func<ParseResult, XendClient, CancellationToken, Task> run) =>
        Add(root, environment, name, description, symbols, async (result, xend, cancellationToken) =>
        {
            await run(result, xend, cancellationToken);
            return ExitCodes.Success;
        });
}
