using System.CommandLine;
using Shinano.Engines.Bench;

// The speed benchmark of the CPU engines; docs/benchmarks.md says how to read it.
Option<int> rounds = new("--runs") { Description = "How often everything is measured", DefaultValueFactory = _ => 3 };
Option<int> percent = new("--scale") { Description = "Per cent of the full work, which takes the host 0.1 to 0.3 s a group", DefaultValueFactory = _ => 100 };
Option<bool> quick = new("--quick") { Description = "A fast look: one run at a scale of 10, without xm" };
Option<string?> only = new("--only") { Description = $"Groups, separated by commas, of: {string.Join(' ', Workload.AllGroups)}; or user, kernel" };
Option<string?> columns = new("--columns") { Description = "Columns, separated by commas, of: native tcg interpreter translator" };
Option<int> limit = new("--timeout") { Description = "Seconds after which a boot or a group counts as hung", DefaultValueFactory = _ => 300 };
Option<bool> noXm = new("--no-xm") { Description = "Leave xm create -c out" };
Option<bool> throughput = new("--throughput") { Description = "Instead: total throughput of four vCPUs against two" };
Option<string?> raw = new("--raw") { Description = "A file for every single figure, as row,column,value in seconds or bytes" };
Option<string> repository = new("--repository") { Description = "Root of the checkout", Required = true, Hidden = true };
RootCommand root = new("Measures the CPU engines: native, QEMU's TCG, Shinano's interpreter and translator, in one run.")
{
    rounds, percent, quick, only, columns, limit, noXm, throughput, raw, repository,
};
root.SetAction(async (result, cancellation) =>
{
    try
    {
        bool fast = result.GetValue(quick);
        Options options = new()
        {
            Rounds = fast && result.GetResult(rounds) is null or { Implicit: true } ? 1 : Positive(result.GetValue(rounds), "--runs"),
            Percent = fast && result.GetResult(percent) is null or { Implicit: true } ? 10 : Positive(result.GetValue(percent), "--scale"),
            Groups = Selection.Groups(result.GetValue(only)),
            Columns = Selection.Columns(result.GetValue(columns)),
            Limit = TimeSpan.FromSeconds(Positive(result.GetValue(limit), "--timeout")),
            WithXm = !fast && !result.GetValue(noXm),
            Throughput = result.GetValue(throughput),
            RawFile = result.GetValue(raw),
            Repository = result.GetValue(repository)!,
        };
        return await new Benchmark(options).RunAsync(cancellation);
    }
    catch (BenchFailureException e)
    {
        await Console.Error.WriteLineAsync($"error: {e.Message}");
        return 1;
    }
    catch (OperationCanceledException)
    {
        return 130;
    }
});
// Long enough for guests to end: a process that is left behind would disturb the next run.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(1) });

static int Positive(int value, string option) => value > 0 ? value : throw new BenchFailureException($"{option} {value}: a number above 0 is wanted");
