using System.CommandLine;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>What makes domains: create, new, start, delete.</summary>
internal static class CreationVerbs
{
    internal static readonly string ConsoleHelp =
        $"Attach to the console and stay until the domain ends; the exit code tells how it ended: 0 powered off, {ExitCodes.Rebooted} rebooted, {ExitCodes.Suspended} suspended, "
        + $"{ExitCodes.Crashed} crashed, {ExitCodes.Watchdog} watchdog, {ExitCodes.Destroyed} destroyed, {ExitCodes.ProcessDied} its process died.";

    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddCreate(root, environment);
        AddNew(root, environment);
        AddStart(root, environment);
        Argument<string> deleted = Verb.Domain(environment);
        Verb.Add(root, environment, "delete", "Removes a managed domain.", [deleted], (result, xend, token) =>
            xend.DeleteAsync(result.GetRequiredValue(deleted), token));
    }

    private static Argument<string[]> FileAndOverrides() => new("file-and-settings")
    {
        Arity = ArgumentArity.OneOrMore,
        HelpName = "FILE key=value",
        Description = "A configuration in xl.cfg(5) syntax ('-' reads standard input), and settings that override it",
    };

    private static void AddCreate(Command root, XmEnvironment environment)
    {
        Argument<string[]> words = FileAndOverrides();
        Option<bool> console = Verb.Flag("--console", ConsoleHelp, "-c");
        Option<bool> paused = Verb.Flag("--paused", "Leave the domain paused", "-p");
        Option<bool> dryRun = Verb.Flag("--dry-run", "Check the configuration and do nothing", "-n");
        Option<bool> strict = Verb.Flag("--strict", "Unknown, obsolete and unsupported keys are errors");
        Option<bool> verbose = Verb.Flag("--verbose", "Show the stages", "-v");
        Option<bool> quiet = Verb.Flag("--quiet", "Print nothing but errors", "-q");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root,
            environment,
            "create",
            "Creates a domain from a configuration.",
            [words, console, paused, dryRun, strict, verbose, quiet, json],
            async (result, xend, token) =>
            {
                bool follow = result.GetValue(console);
                ConfigurationRequest request = ConfigurationFile.Read(
                    result.GetRequiredValue(words), result.GetValue(strict), paused: follow || result.GetValue(paused)) with
                {
                    DryRun = result.GetValue(dryRun),
                };
                CreatedDomain? domain;
                using (CreationProgress progress = new(environment, result.GetValue(verbose)))
                {
                    domain = await xend.CreateAsync(request, progress.Observe, token);
                }

                return domain is null
                    ? ExitCodes.Success
                    : await ReportAsync(
                        environment, xend, domain, follow, result.GetValue(paused), result.GetValue(json), result.GetValue(quiet), token);
            });
    }

    private static void AddNew(Command root, XmEnvironment environment)
    {
        Argument<string[]> words = FileAndOverrides();
        Option<bool> strict = Verb.Flag("--strict", "Unknown, obsolete and unsupported keys are errors");
        Verb.Add(root, environment, "new", "Stores a managed domain, to be started by name.", [words, strict], async (result, xend, token) =>
        {
            using CreationProgress progress = new(environment, verbose: false);
            await xend.DefineAsync(
                ConfigurationFile.Read(result.GetRequiredValue(words), result.GetValue(strict), paused: false), progress.Observe, token);
        });
    }

    private static void AddStart(Command root, XmEnvironment environment)
    {
        Argument<string> name = Verb.Domain(environment, "name");
        Option<bool> console = Verb.Flag("--console", ConsoleHelp, "-c");
        Option<bool> paused = Verb.Flag("--paused", "Leave the domain paused", "-p");
        Option<bool> verbose = Verb.Flag("--verbose", "Show the stages", "-v");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root, environment, "start", "Starts a managed domain.", [name, console, paused, verbose, json], async (result, xend, token) =>
            {
                bool follow = result.GetValue(console);
                CreatedDomain? domain;
                using (CreationProgress progress = new(environment, result.GetValue(verbose)))
                {
                    domain = await xend.StartAsync(result.GetRequiredValue(name), follow || result.GetValue(paused), progress.Observe, token);
                }

                return await ReportAsync(
                    environment, xend, Demand(domain), follow, result.GetValue(paused), result.GetValue(json), quiet: false, token);
            });
    }

    private static CreatedDomain Demand(CreatedDomain? domain) =>
        domain ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.Internal, "xend made no domain and gave no reason"));

    /// <summary>Says what was made, or stays at its console.</summary>
    internal static async Task<int> ReportAsync(
        XmEnvironment environment,
        XendClient xend,
        CreatedDomain domain,
        bool follow,
        bool leavePaused,
        bool json,
        bool quiet,
        CancellationToken cancellationToken)
    {
        if (follow)
        {
            return await DomainRun.FollowAsync(environment, xend, domain, leavePaused, endOfInput: [], cancellationToken);
        }

        if (json)
        {
            await environment.Output.WriteLineAsync(JsonText.Of(domain));
        }
        else if (!quiet)
        {
            environment.WriteLine($"Started domain {domain.Name} (id={domain.Id})");
        }

        return ExitCodes.Success;
    }
}
