using System.CommandLine;
using System.CommandLine.Parsing;
using Shinano.Cli.Xm.Verbs;
using Shinano.Control.Api.Xend;
using Shinano.Control.GuestPackages;

namespace Shinano.Cli.Xm;

/// <summary>xm: parses, runs one verb, and turns every failure into a message and an exit code.</summary>
internal static class XmTool
{
    public static async Task<int> RunAsync(string[] arguments, XmEnvironment environment)
    {
        RootCommand root = Build(environment);
        if (arguments is ["help", .. string[] about])
        {
            arguments = [.. about, "--help"];
        }

        ParseResult parsed = root.Parse(arguments.Length == 0 ? ["--help"] : arguments);
        if (parsed.Errors.Count > 0)
        {
            foreach (ParseError error in parsed.Errors)
            {
                environment.Complain(error.Message);
            }

            string verb = parsed.CommandResult.Command == root ? "" : $" {parsed.CommandResult.Command.Name}";
            await environment.Error.WriteLineAsync($"'xm{verb} -h' shows the usage.");
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
            return 130;
        }
    }

    /// <summary>The grammar of xm; completion reads it too.</summary>
    public static RootCommand Build(XmEnvironment environment)
    {
        RootCommand root = new("Controls Shinano's domains.");
        ListVerbs.AddTo(root, environment);
        CreationVerbs.AddTo(root, environment);
        LifeVerbs.AddTo(root, environment);
        ResourceVerbs.AddTo(root, environment);
        HostVerbs.AddTo(root, environment);
        QuickstartVerb.AddTo(root, environment);
        CompletionVerb.AddTo(root, environment);
        Command help = new("help", "Shows the usage of xm, or of one verb.");
        help.Add(new Argument<string?>("verb") { Arity = ArgumentArity.ZeroOrOne, Description = "The verb" });
        root.Add(help);
        return root;
    }

}
