using System.Diagnostics;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using Shinano.Guests;

namespace Shinano.EndToEnd.Tests;

/// <summary><c>xm perf-stat</c> of a real guest that is busy, and the setting for the code cache.</summary>
public sealed class PerfStatTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(GuestEngine.Usual), MemberType = typeof(GuestEngine))]
    public async Task A_busy_guest_counts_up(string engine)
    {
        long? codeCache = engine == "translator" ? 16L << 20 : null;
        Assert.SkipWhen(engine == "translator" && !(Bmi2.X64.IsSupported && Avx.IsSupported), "the translator needs a host CPU with BMI2 and AVX");
        await using Host host = Host.Create();
        string path = host.Configuration("busy", $"memory = 256\nvcpus = 2\ncpu_engine = \"{engine}\"\n{(codeCache is null ? "" : "code_cache = 16")}\n{files.Boot}");
        ToolResult created = await host.XmAsync("create", path);
        Assert.True(created.ExitCode == 0, created.ToString());
        using Process console = host.Start("xm", ["console", "busy"]);
        await StartLoopAsync(console);

        ToolResult result = await host.XmAsync("perf-stat", "busy", "--json", "-i", "3", "-d", "0.5");
        Assert.True(result.ExitCode == 0, result.ToString());
        JsonElement[] reports = [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal([true, false, false], reports.Select(report => report.GetProperty("sinceStart").GetBoolean()));
        Assert.All(reports, report => Assert.Equal((engine, 2), (report.GetProperty("cpuEngine").GetString(), report.GetProperty("vcpus").GetArrayLength())));
        Assert.All(reports.Skip(1), report => Assert.True(report.GetProperty("seconds").GetDouble() >= 0.4, report.ToString()));

        // The loop never ends, so some vCPU executes in each interval, and the engine that was asked for does it.
        string executed = engine == "translator" ? "instructions.translated" : "instructions.interpreted";
        foreach (JsonElement report in reports)
        {
            Assert.True(SumOf(report, executed) > 0, report.ToString());
            Assert.True(SumOf(report, "cpu-time-ns") > 0, report.ToString());
            Assert.True(SumOf(report, "exit.Kicked") > 0, report.ToString());
        }

        Assert.True(SumOf(reports[0], "exception.PageFault") > 0, reports[0].ToString());
        JsonElement last = reports[^1];
        if (codeCache is { } bytes)
        {
            Assert.Equal(bytes, EngineValue(last, "code-cache.capacity"));
            Assert.InRange(EngineValue(last, "code-cache.bytes"), 1, bytes);
            Assert.True(EngineValue(last, "translated.blocks") > 1000, last.ToString());
            Assert.True(EngineValue(last, "translated.instructions") > EngineValue(last, "translated.blocks"), last.ToString());
            Assert.True(EngineValue(last, "translated.links") > 0, last.ToString());
        }
        else
        {
            Assert.True(EngineValue(last, "decoded.blocks") > 1000, last.ToString());
        }

        ToolResult text = await host.XmAsync("perf-stat", "busy");
        Assert.StartsWith($"busy (id 1), {engine}, 2 vCPUs, ", text.Output, StringComparison.Ordinal);
        Assert.Matches($@"(?m)^{executed}( +[1-9][0-9]*){{2}}( +[0-9]+){{2}}$", text.Output);

        ToolResult destroyed = await host.XmAsync("destroy", "busy");
        Assert.True(destroyed.ExitCode == 0, destroyed.ToString());
        await console.WaitForExitAsync(Cancellation);
    }

    /// <summary>Has the guest's shell count for ever; returns when it has begun.</summary>
    private static async Task StartLoopAsync(Process console)
    {
        // The mark is put together in the guest, so that the echo of the command is not taken for it.
        await console.StandardInput.WriteAsync("echo loop''ing; i=0; while :; do i=$((i+1)); done\n");
        await console.StandardInput.FlushAsync(Cancellation);
        while (await console.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            if (line.Contains("looping", StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail("the console ended");
    }

    /// <summary>What the vCPUs together counted in the report's time.</summary>
    private static long SumOf(JsonElement report, string name) => report.GetProperty("vcpus").EnumerateArray()
        .SelectMany(vcpu => vcpu.GetProperty("counters").EnumerateArray())
        .Where(counter => counter.GetProperty("name").GetString() == name)
        .Sum(counter => counter.GetProperty("change").GetInt64());

    private static long EngineValue(JsonElement report, string name) =>
        report.GetProperty("engine").EnumerateArray().Single(counter => counter.GetProperty("name").GetString() == name).GetProperty("value").GetInt64();
}
