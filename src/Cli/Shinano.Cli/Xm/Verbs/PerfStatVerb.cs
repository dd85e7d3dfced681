using System.CommandLine;
using System.Text.Json;
using Shinano.Cli.Xm.PerfStat;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>perf-stat: what a domain's CPU engine does, once or at intervals.</summary>
internal static class PerfStatVerb
{
    private const double DefaultDelay = 3;

    public static void AddTo(Command root, XmEnvironment environment)
    {
        Argument<string> domain = Verb.Domain(environment);
        Option<int?> iterations = new("--iterations", "-i") { HelpName = "count", Description = "End after so many reports; 1, or none with -d" };
        Option<double?> delay = new("--delay", "-d") { HelpName = "seconds", Description = "Seconds between reports; 3 with -i" };
        Option<bool> json = new("--json") { Description = "Print a line of JSON per report, for programs" };
        delay.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<double?>() is not (>= 0.01 and <= 86400))
            {
                result.AddError("--delay takes 0.01 to 86400 seconds");
            }
        });
        iterations.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<int?>() is < 1)
            {
                result.AddError("--iterations takes a number from 1");
            }
        });
        Verb.Add(
            root,
            environment,
            "perf-stat",
            "Counts what a domain's CPU engine does: since the domain's start, then per interval.",
            [domain, iterations, delay, json],
            (result, xend, token) =>
            {
                double? wait = result.GetValue(delay);
                int? count = result.GetValue(iterations) ?? (wait is null ? 1 : null);
                return RunAsync(
                    environment, xend, result.GetRequiredValue(domain), count, TimeSpan.FromSeconds(wait ?? DefaultDelay), result.GetValue(json), token);
            });
    }

    private static async Task RunAsync(
        XmEnvironment environment, XendClient xend, string domain, int? count, TimeSpan delay, bool json, CancellationToken cancellationToken)
    {
        DomainPerformance? before = null;
        for (int i = 0; count is null || i < count; i++)
        {
            if (i > 0)
            {
                await Task.Delay(delay, cancellationToken);
            }

            DomainPerformance now = await xend.GetPerformanceAsync(domain, cancellationToken);
            PerfReport report = PerfReport.Of(domain, now, before);
            if (json)
            {
                // One line each: however many there will be, a reader can take them one by one.
                await environment.Output.WriteLineAsync(JsonSerializer.Serialize(report, ControlJson.Options));
            }
            else
            {
                foreach (string line in (IEnumerable<string>)[.. i > 0 ? [""] : Array.Empty<string>(), .. PerfText.Of(report)])
                {
                    await environment.Output.WriteLineAsync(line);
                }
            }

            await environment.Output.FlushAsync(cancellationToken);
            before = now;
        }
    }
}
