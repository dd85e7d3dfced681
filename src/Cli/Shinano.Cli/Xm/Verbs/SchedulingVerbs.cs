using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>What domains get of the host's CPUs: sched-credit, vcpu-pin.</summary>
internal static class SchedulingVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddCredit(root, environment);
        AddPin(root, environment);
    }

    /// <summary>Without a weight and a cap it shows, with one of them it sets, as xm's.</summary>
    private static void AddCredit(Command root, XmEnvironment environment)
    {
        Option<string?> domain = new("--domain", "-d") { HelpName = "domain", Description = "Name, id or uuid of a domain; all when none is given" };
        domain.CompletionSources.Add(_ => DomainCompletion.Names(environment));
        Option<int?> weight = new("--weight", "-w") { HelpName = "weight", Description = "Share against other domains, 1 to 65535; 256 is the usual one" };
        Option<int?> cap = new("--cap", "-c") { HelpName = "cap", Description = "Most CPU time, in percent of one CPU; 0 is no limit" };
        Option<bool> json = Verb.Json();
        Command command = Verb.New("sched-credit", "Shows or sets the weight and the cap of domains.", [domain, weight, cap, json]);
        command.Validators.Add(result =>
        {
            if (result.GetValue(domain) is null && (result.GetValue(weight) ?? result.GetValue(cap)) is not null)
            {
                result.AddError("a weight or a cap is one domain's: name it with -d");
            }
        });
        command.SetAction(async (result, token) =>
        {
            using XendClient xend = await environment.ConnectAsync(token);
            string? name = result.GetValue(domain);
            if (name is not null && (result.GetValue(weight) ?? result.GetValue(cap)) is not null)
            {
                await xend.SetCreditAsync(name, new CreditRequest(result.GetValue(weight), result.GetValue(cap)), token);
                return ExitCodes.Success;
            }

            IReadOnlyList<DomainSummary> domains = name is null
                ? [.. (await xend.ListAsync(token)).Where(one => one.Id is not null)]
                : [(await xend.DescribeAsync(name, token)).Summary];
            foreach (string line in result.GetValue(json) ? [JsonText.Of(domains)] : DomainText.Credits(domains))
            {
                await environment.Output.WriteLineAsync(line);
            }

            return ExitCodes.Success;
        });
        root.Add(command);
    }

    private static void AddPin(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> vcpu = new("vcpu") { HelpName = "vcpu", Description = "Number of the vCPU, or all" };
        vcpu.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } text && text != "all" && Number(text) is null)
            {
                result.AddError($"'{text}' is not the number of a vCPU, nor all");
            }
        });
        Argument<string> cpus = new("cpus") { HelpName = "cpus", Description = "CPUs of the host: 0, 0-3,^1, or all" };
        Verb.Add(root, environment, "vcpu-pin", "Keeps vCPUs on some of the host's CPUs.", [domain, vcpu, cpus], (result, xend, token) =>
            xend.PinAsync(
                result.GetRequiredValue(domain),
                new PinRequest(Number(result.GetRequiredValue(vcpu)), result.GetRequiredValue(cpus)),
                token));
    }

    private static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
