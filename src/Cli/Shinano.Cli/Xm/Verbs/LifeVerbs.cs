using System.CommandLine;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>What changes whether a domain runs: pause, unpause, shutdown, reboot, destroy, rename, console.</summary>
internal static class LifeVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddSimple(root, environment, "pause", "Stops a domain's vCPUs.", (xend, domain, token) => xend.PauseAsync(domain, token));
        AddSimple(root, environment, "unpause", "Lets a paused domain run.", (xend, domain, token) => xend.UnpauseAsync(domain, token));
        AddSimple(root, environment, "destroy", "Ends a domain at once.", (xend, domain, token) => xend.DestroyAsync(domain, token));
        AddShutdown(root, environment);
        AddReboot(root, environment);
        Argument<string> renamed = Verb.Domain(environment);
        Argument<string> name = new("new-name") { Description = "Its name from now on" };
        Verb.Add(root, environment, "rename", "Gives a domain another name.", [renamed, name], (result, xend, token) =>
            xend.RenameAsync(result.GetRequiredValue(renamed), result.GetRequiredValue(name), token));
        AddConsole(root, environment);
    }

    private static void AddConsole(Command root, XmEnvironment environment)
    {
        Argument<string> attached = Verb.Domain(environment);
        Option<int> number = new("--num", "-n") { HelpName = "number", Description = "Another console than the first one, which is 0: the domain's channels, from 1 on" };
        Verb.Add(root, environment, "console", "Attaches to a console of a domain; Ctrl-] detaches.", [attached, number], async (result, xend, token) =>
        {
            DomainDetails domain = await xend.DescribeAsync(result.GetRequiredValue(attached), token);
            string first = domain.ConsoleSocket ?? throw Refused(DomainFailureCode.WrongState, $"domain '{domain.Summary.Name}' has no console: it is not running");
            int wanted = result.GetValue(number);
            string socket = wanted == 0
                ? first
                : domain.Channels.FirstOrDefault(channel => channel.Number == wanted)?.Socket ?? throw Refused(
                    DomainFailureCode.InvalidArgument,
                    $"domain '{domain.Summary.Name}' has no console {wanted}: it has {string.Join(", ", domain.Channels.Select(channel => channel.Number).Prepend(0))} (channel)");
            await ConsoleSession.AttachAsync(environment, socket, Task.Delay(Timeout.Infinite, token), endOfInput: [], token);
        });
    }

    private static XendFailureException Refused(DomainFailureCode code, string message) => new(new DomainFailure(code, message));

    private static void AddSimple(
        Command root, XmEnvironment environment, string name, string description, Func<XendClient, string, CancellationToken, Task> run)
    {
        Argument<string> domain = Verb.Domain(environment);
        Verb.Add(root, environment, name, description, [domain], (result, xend, token) => run(xend, result.GetRequiredValue(domain), token));
    }

    private static void AddShutdown(Command root, XmEnvironment environment)
    {
        Argument<string[]> domains = new("domain") { HelpName = "domain", Arity = ArgumentArity.ZeroOrMore, Description = "Names, ids or uuids of domains" };
        domains.CompletionSources.Add(_ => DomainCompletion.Names(environment));
        Option<bool> all = Verb.Flag("--all", "Every domain", "-a");
        Option<bool> wait = Verb.Flag("--wait", "Return when they have ended", "-w");
        Option<bool> halt = Verb.Flag("--halt", "Ask for a halt instead of a power-off", "-H");
        Option<bool> reboot = Verb.Flag("--reboot", "Ask for a reboot instead", "-R");
        Verb.Add(
            root, environment, "shutdown", "Asks domains to shut down.", [domains, all, wait, halt, reboot], async (result, xend, token) =>
            {
                string[] names = result.GetValue(domains) ?? [];
                if (result.GetValue(all) == names.Length > 0)
                {
                    environment.Complain("name the domains, or give -a for all of them");
                    return ExitCodes.Usage;
                }

                string reason = result.GetValue(reboot) ? "reboot" : result.GetValue(halt) ? "halt" : "poweroff";
                await ShutDownAsync(environment, xend, names, reason, result.GetValue(wait), token);
                return ExitCodes.Success;
            });
    }

    private static void AddReboot(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> wait = Verb.Flag("--wait", "Return when the domain has rebooted", "-w");
        Verb.Add(root, environment, "reboot", "Asks a domain to reboot.", [domain, wait], (result, xend, token) =>
            ShutDownAsync(environment, xend, [result.GetRequiredValue(domain)], "reboot", result.GetValue(wait), token));
    }

    private static async Task ShutDownAsync(
        XmEnvironment environment, XendClient xend, string[] names, string reason, bool wait, CancellationToken cancellationToken)
    {
        List<DomainSummary> domains = [];
        if (names.Length == 0)
        {
            domains.AddRange((await xend.ListAsync(cancellationToken)).Where(domain => domain.Id is > 0));
        }

        foreach (string name in names)
        {
            domains.Add((await xend.DescribeAsync(name, cancellationToken)).Summary);
        }

        foreach (DomainSummary domain in domains)
        {
            // By id: a name may already be its successor's.
            await xend.ShutdownAsync(domain.Id is { } id ? id.ToString(System.Globalization.CultureInfo.InvariantCulture) : domain.Name, reason, cancellationToken);
        }

        if (wait)
        {
            foreach (DomainSummary domain in domains)
            {
                DomainOutcome outcome = await xend.WaitForEndAsync(domain.Id!.Value, cancellationToken);
                environment.WriteLine($"Domain {outcome.Name} (id={outcome.Id}) ended: {OutcomeText.Of(outcome)}");
            }
        }
    }
}
