using System.CommandLine;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Running copies of a running domain: fork.</summary>
internal static class ForkVerb
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> name = new("new-name") { Description = "Name of the copy; of several, the beginning of their names" };
        Option<int> count = new("--count", "-n") { Description = "So many copies: NEW-NAME-1, NEW-NAME-2, ...", DefaultValueFactory = _ => 1 };
        Option<bool> console = Verb.Flag("--console", CreationVerbs.ConsoleHelp, "-c");
        Option<bool> paused = Verb.Flag("--paused", "Leave the copies paused", "-p");
        Option<bool> temporary = Verb.Flag("--temporary", "The copies' volumes go with them", "-t");
        Option<bool> quiet = Verb.Flag("--quiet", "Print nothing but errors", "-q");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root,
            environment,
            "fork",
            "Makes running copies of a running domain, which share its memory.",
            [domain, name, count, console, paused, temporary, quiet, json],
            async (result, xend, token) =>
            {
                int copies = result.GetValue(count);
                bool follow = result.GetValue(console);
                if (follow && copies != 1)
                {
                    throw new XendFailureException(new DomainFailure(DomainFailureCode.InvalidArgument, "--console is for one copy"));
                }

                ForkRequest request = new(result.GetRequiredValue(name), copies, follow || result.GetValue(paused), result.GetValue(temporary));
                ForkResult forked = await xend.ForkAsync(result.GetRequiredValue(domain), request, token);
                if (follow)
                {
                    return await DomainRun.FollowAsync(environment, xend, forked.Domains[0], result.GetValue(paused), endOfInput: [], token);
                }

                if (result.GetValue(json))
                {
                    await environment.Output.WriteLineAsync(JsonText.Of(forked));
                }
                else if (!result.GetValue(quiet))
                {
                    foreach (CreatedDomain made in forked.Domains)
                    {
                        environment.WriteLine($"Started domain {made.Name} (id={made.Id})");
                    }
                }

                foreach (DomainFailure failure in forked.Failures)
                {
                    environment.Complain(failure.Message);
                }

                return forked.Failures.Count == 0 ? ExitCodes.Success : ExitCodes.Failure;
            });
    }
}
