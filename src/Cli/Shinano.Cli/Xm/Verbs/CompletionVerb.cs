using System.CommandLine;
using System.CommandLine.Completions;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Shell completion: prints a script that asks the tool itself what could follow.</summary>
internal static class CompletionVerb
{
    private const string Bash = """
        # source <(TOOL completion bash)
        _TOOL() {
            local IFS=$'\n'
            COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" complete "${COMP_POINT}" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _TOOL TOOL
        """;

    private const string Zsh = """
        # source <(TOOL completion zsh)
        _TOOL() {
            local -a found
            found=("${(@f)$("${words[1]}" complete "${CURSOR}" "${BUFFER}" 2>/dev/null)}")
            compadd -a found
            _files
        }
        compdef _TOOL TOOL
        """;

    private const string Fish = """
        # TOOL completion fish | source
        complete -c TOOL -a '(TOOL complete (commandline -C) (commandline -p) 2>/dev/null)'
        """;

    public static void AddTo(Command root, XmEnvironment environment)
    {
        Argument<string> shell = new("shell") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        Command command = new("completion", $"Prints a script that completes {root.Name} in your shell.") { shell };
        command.SetAction(result => environment.Output.WriteLine(
            Script(result.GetRequiredValue(shell)).Replace("TOOL", root.Name, StringComparison.Ordinal)));
        root.Add(command);
        AddComplete(root, environment);
    }

    private static string Script(string shell) => shell switch { "bash" => Bash, "zsh" => Zsh, _ => Fish };

    /// <summary>What the scripts call: prints what could stand at a place of a line.</summary>
    private static void AddComplete(Command root, XmEnvironment environment)
    {
        Argument<int> position = new("position");
        Argument<string> line = new("line");
        Command command = new("complete", "Prints completions of a command line.") { position, line };
        command.Hidden = true;
        command.SetAction(result =>
        {
            ParseResult parsed = root.Parse(result.GetRequiredValue(line));
            foreach (CompletionItem item in parsed.GetCompletions(result.GetValue(position)))
            {
                // The option parser's spellings for other systems are noise here.
                if (!item.Label.StartsWith('/') && item.Label != "-?")
                {
                    environment.Output.WriteLine(item.Label);
                }
            }
        });
        root.Add(command);
    }
}
