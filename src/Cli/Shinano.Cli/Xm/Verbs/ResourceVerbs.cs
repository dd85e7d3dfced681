using System.CommandLine;
using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>What is done to a running domain: mem-set, mem-max, vcpu-set, sysrq, trigger, debug-keys, dump-core.</summary>
internal static class ResourceVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        AddMemory(root, environment, "mem-set", "Asks a domain to balloon to so much memory.", (xend, domain, bytes, token) =>
            xend.SetMemoryAsync(domain, bytes, token));
        AddMemory(root, environment, "mem-max", "Sets the most memory a domain may have.", (xend, domain, bytes, token) =>
            xend.SetMaximumMemoryAsync(domain, bytes, token));
        AddVcpuSet(root, environment);
        AddKeys(root, environment, "sysrq", "Sends a magic SysRq letter.", "letter", (xend, domain, keys, token) => xend.SendSysRqAsync(domain, keys, token));
        AddKeys(root, environment, "debug-keys", "Sends debug keys to a domain's hypervisor core; see xm dmesg.", "keys", (xend, domain, keys, token) =>
            xend.SendDebugKeysAsync(domain, keys, token));
        AddTrigger(root, environment);
        AddDumpCore(root, environment);
        AddCounters(root, environment);
    }

    /// <summary>MiB, or a number with one of the letters k, m, g, t.</summary>
    internal static long ParseMemory(string text)
    {
        int shift = char.ToLowerInvariant(text.Length > 0 ? text[^1] : '0') switch { 'b' => 0, 'k' => 10, 'm' => 20, 'g' => 30, 't' => 40, _ => -1 };
        string digits = shift < 0 ? text : text[..^1];
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > (long.MaxValue >> (shift < 0 ? 20 : shift)))
        {
            throw Invalid($"'{text}' is not an amount of memory: a number of MiB, or one with k, m, g or t");
        }

        return number << (shift < 0 ? 20 : shift);
    }

    private static XendFailureException Invalid(string message) => new(new DomainFailure(DomainFailureCode.InvalidArgument, message));

    private static void AddMemory(
        Command root, XmEnvironment environment, string name, string description, Func<XendClient, string, long, CancellationToken, Task> run)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> memory = new("memory") { Description = "MiB, or a number with k, m, g or t" };
        Verb.Add(root, environment, name, description, [domain, memory], (result, xend, token) =>
            run(xend, result.GetRequiredValue(domain), ParseMemory(result.GetRequiredValue(memory)), token));
    }

    private static void AddVcpuSet(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<int> vcpus = new("vcpus") { Description = "How many are to be online" };
        Verb.Add(root, environment, "vcpu-set", "Asks a domain to bring vCPUs up or down.", [domain, vcpus], (result, xend, token) =>
            xend.SetVcpusAsync(result.GetRequiredValue(domain), result.GetValue(vcpus), token));
    }

    private static void AddKeys(
        Command root,
        XmEnvironment environment,
        string name,
        string description,
        string argument,
        Func<XendClient, string, string, CancellationToken, Task> run)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> keys = new(argument);
        Verb.Add(root, environment, name, description, [domain, keys], (result, xend, token) =>
            run(xend, result.GetRequiredValue(domain), result.GetRequiredValue(keys), token));
    }

    private static void AddTrigger(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string> trigger = new("trigger") { HelpName = "trigger", Description = "nmi, reset, init, power or sleep" };
        trigger.AcceptOnlyFromAmong("nmi", "reset", "init", "power", "sleep");
        Argument<int> vcpu = new("vcpu") { Description = "For nmi and init", DefaultValueFactory = _ => 0 };
        Verb.Add(root, environment, "trigger", "Sends a trigger to a domain.", [domain, trigger, vcpu], (result, xend, token) =>
            xend.TriggerAsync(
                result.GetRequiredValue(domain),
                Enum.Parse<DomainTrigger>(result.GetRequiredValue(trigger), ignoreCase: true),
                result.GetValue(vcpu),
                token));
    }

    private static void AddDumpCore(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Argument<string?> file = new("file") { Arity = ArgumentArity.ZeroOrOne, Description = "Where to; by default below the state directory" };
        Option<bool> crash = Verb.Flag("--crash", "End the domain as crashed afterwards", "-C");
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "dump-core", "Writes a domain's core in Xen's ELF format.", [domain, file, crash, json], async (result, xend, token) =>
        {
            string? path = result.GetValue(file) is { } given ? Path.GetFullPath(given) : null;
            DumpResult dump = await xend.DumpCoreAsync(result.GetRequiredValue(domain), new DumpRequest(path, result.GetValue(crash)), token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(dump));
            }
            else
            {
                environment.WriteLine($"{dump.Path}: {dump.Bytes} bytes");
            }
        });
    }

    private static void AddCounters(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "perfc", "Prints the counters of a domain's hypervisor core.", [domain, json], async (result, xend, token) =>
        {
            IReadOnlyList<PerfCounter> counters = await xend.GetCountersAsync(result.GetRequiredValue(domain), token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(counters));
                return;
            }

            foreach (PerfCounter counter in counters)
            {
                environment.WriteLine($"{counter.Name,-40} {counter.Value,15}");
            }
        });
    }
}
