using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Control.Api.Xend;
using Spectre.Console;

namespace Shinano.Cli.Xentop;

/// <summary>xentop: a live screen, or batches of lines with -b.</summary>
internal static class XentopTool
{
    public static async Task<int> RunAsync(string[] arguments, XmEnvironment environment)
    {
        Option<bool> batch = new("--batch", "-b") { Description = "Print lines instead of a live screen" };
        Option<int?> iterations = new("--iterations", "-i") { Description = "End after so many updates" };
        Option<double> delay = new("--delay", "-d") { Description = "Seconds between updates", DefaultValueFactory = _ => 3 };
        Option<bool> fullNames = new("--full-name", "-f") { Description = "Do not cut names" };
        Option<bool> vcpus = new("--vcpus", "-v") { Description = "Show the vCPUs" };
        Command root = ToolRunner.Root("xentop", "Shows what domains use.");
        foreach (Option option in (Option[])[batch, iterations, delay, fullNames, vcpus])
        {
            root.Add(option);
        }

        delay.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<double>() is not (>= 0.01 and <= 86400))
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
        root.SetAction(async (result, token) =>
        {
            using XendClient xend = await environment.ConnectAsync(token);
            TopView view = new(result.GetValue(fullNames), result.GetValue(vcpus));
            TimeSpan pause = TimeSpan.FromSeconds(result.GetValue(delay));
            int? limit = result.GetValue(iterations);
            if (result.GetValue(batch) || !environment.IsInteractive || Console.IsOutputRedirected)
            {
                await RunBatchAsync(environment, xend, view, limit, pause, token);
            }
            else
            {
                await RunLiveAsync(xend, view, limit, pause, token);
            }

            return ExitCodes.Success;
        });
        return await ToolRunner.RunAsync(root, arguments, environment);
    }

    private static async Task RunBatchAsync(
        XmEnvironment environment, XendClient xend, TopView view, int? limit, TimeSpan pause, CancellationToken cancellationToken)
    {
        TopSample? before = null;
        for (int i = 0; limit is null || i < limit; i++)
        {
            if (i > 0)
            {
                await Task.Delay(pause, cancellationToken);
            }

            TopSample sample = await TopSample.TakeAsync(xend, cancellationToken);
            foreach (string line in view.Body(sample, before))
            {
                await environment.Output.WriteLineAsync(line);
            }

            await environment.Output.FlushAsync(cancellationToken);
            before = sample;
        }
    }

    private static async Task RunLiveAsync(XendClient xend, TopView view, int? limit, TimeSpan pause, CancellationToken cancellationToken)
    {
        TopSample? before = null;
        await AnsiConsole.Live(new Text("")).StartAsync(async live =>
        {
            for (int i = 0; limit is null || i < limit; i++)
            {
                TopSample sample = await TopSample.TakeAsync(xend, cancellationToken);
                IEnumerable<string> lines = [.. TopText.Head(sample, DateTime.Now), .. view.Body(sample, before)];

                // Cut, not wrapped: a narrow terminal keeps one line per domain.
                int width = Math.Max(20, AnsiConsole.Profile.Width);
                live.UpdateTarget(new Text(string.Join('\n', lines.Select(line => line.Length > width ? line[..width] : line))));
                live.Refresh();
                before = sample;
                if (await WaitOrQuitAsync(pause, cancellationToken))
                {
                    return;
                }
            }
        });
    }

    /// <summary>True when the user pressed q.</summary>
    private static async Task<bool> WaitOrQuitAsync(TimeSpan pause, CancellationToken cancellationToken)
    {
        long end = Environment.TickCount64 + (long)pause.TotalMilliseconds;
        while (Environment.TickCount64 < end)
        {
            while (!Console.IsInputRedirected && Console.KeyAvailable)
            {
                if (Console.ReadKey(intercept: true).KeyChar is 'q' or 'Q')
                {
                    return true;
                }
            }

            await Task.Delay(Math.Clamp((int)(end - Environment.TickCount64), 1, 100), cancellationToken);
        }

        return false;
    }
}
