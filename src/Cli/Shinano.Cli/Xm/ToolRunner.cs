using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Shinano.Control.Api.Xend;
using Shinano.Control.GuestPackages;

namespace Shinano.Cli.Xm;

/// <summary>Parses a command line, runs it, and turns every failure into a message and an exit code.</summary>
internal static class ToolRunner
{
    /// <summary>A root under the tool's own name: RootCommand would show the name of the program that holds them all.</summary>
    public static Command Root(string name, string description) => new(name, description) { new HelpOption(), new VersionOption() };

    public static async Task<int> RunAsync(Command root, string[] arguments, XmEnvironment environment)
    {
        // "@today" names a snapshot, not a file with more arguments.
        ParseResult parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            foreach (ParseError error in parsed.Errors)
            {
                environment.Complain(error.Message);
            }

            string verb = parsed.CommandResult.Command == root ? "" : $" {parsed.CommandResult.Command.Name}";
            await environment.Error.WriteLineAsync($"'{root.Name}{verb} -h' shows the usage.");
            return ExitCodes.Usage;
        }

        InvocationConfiguration configuration = new()
        {
            EnableDefaultExceptionHandler = false,
            Output = environment.Output,
            Error = environment.Error,
        };
        try
        {
            return await parsed.InvokeAsync(configuration);
        }
        catch (XendFailureException e)
        {
            foreach (DiagnosticMessage diagnostic in e.Diagnostics.Where(diagnostic => diagnostic.IsError))
            {
                await environment.Error.WriteLineAsync(diagnostic.Text);
            }

            environment.Complain(e.Message);
            return ExitCodes.Failure;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or GuestPackageUnavailableException or InvalidOperationException)
        {
            environment.Complain(e.Message);
            return ExitCodes.Failure;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Interrupted;
        }
    }
}
