using System.CommandLine;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>What only looks: list, domid, domname, uptime, vcpu-list.</summary>
internal static class ListVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddList(root, environment);
        AddNames(root, environment);
        AddTable(root, environment, "uptime", "Shows how long domains have been up.", DomainText.Uptimes);
        AddTable(root, environment, "vcpu-list", "Lists the vCPUs of domains.", DomainText.Vcpus);
    }

    private static Argument<string[]> Domains(XmEnvironment environment)
    {
        Argument<string[]> argument = new("domain") { HelpName = "domain", Arity = ArgumentArity.ZeroOrMore, Description = "Names, ids or uuids; all when none is given" };
        argument.CompletionSources.Add(_ => DomainCompletion.Names(environment));
        return argument;
    }

    private static void AddList(Command root, XmEnvironment environment)
    {
        Argument<string[]> domains = Domains(environment);
        Option<bool> detailed = Verb.Flag("--long", "Everything that is known, as JSON", "-l");
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "list", "Lists domains.", [domains, detailed, json], async (result, xend, token) =>
        {
            string[] names = result.GetValue(domains) ?? [];
            if (result.GetValue(detailed))
            {
                IEnumerable<string> wanted = names.Length > 0
                    ? names
                    : (await xend.ListAsync(token)).Select(domain => domain.Id?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? domain.Name);
                List<DomainDetails> details = [];
                foreach (string name in wanted)
                {
                    details.Add(await xend.DescribeAsync(name, token));
                }

                await environment.Output.WriteLineAsync(JsonText.Of(details));
                return;
            }

            IReadOnlyList<DomainSummary> all = await SelectAsync(xend, names, token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(all));
                return;
            }

            Print(environment, DomainText.List(all));
        });
    }

    private static void AddNames(Command root, XmEnvironment environment)
    {
        Argument<string> byName = Verb.Domain(environment);
        Verb.Add(root, environment, "domid", "Prints the id of a domain.", [byName], async (result, xend, token) =>
        {
            DomainSummary domain = (await xend.DescribeAsync(result.GetRequiredValue(byName), token)).Summary;
            int id = domain.Id ?? throw new XendFailureException(
                new DomainFailure(DomainFailureCode.WrongState, $"domain '{domain.Name}' is not running and has no id"));
            environment.WriteLine($"{id}");
        });
        Argument<string> byId = Verb.Domain(environment);
        Verb.Add(root, environment, "domname", "Prints the name of a domain.", [byId], async (result, xend, token) =>
            environment.WriteLine($"{(await xend.DescribeAsync(result.GetRequiredValue(byId), token)).Summary.Name}"));
    }

    private static void AddTable(
        Command root, XmEnvironment environment, string name, string description, Func<IEnumerable<DomainSummary>, IEnumerable<string>> render)
    {
        Argument<string[]> domains = Domains(environment);
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, name, description, [domains, json], async (result, xend, token) =>
        {
            IReadOnlyList<DomainSummary> all = await SelectAsync(xend, result.GetValue(domains) ?? [], token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(all));
            }
            else
            {
                Print(environment, render(all.Where(domain => domain.Id is not null)));
            }
        });
    }

    private static async Task<IReadOnlyList<DomainSummary>> SelectAsync(XendClient xend, string[] names, CancellationToken cancellationToken)
    {
        if (names.Length == 0)
        {
            return await xend.ListAsync(cancellationToken);
        }

        List<DomainSummary> found = [];
        foreach (string name in names)
        {
            found.Add((await xend.DescribeAsync(name, cancellationToken)).Summary);
        }

        return found;
    }

    private static void Print(XmEnvironment environment, IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            environment.Output.WriteLine(line);
        }
    }
}
