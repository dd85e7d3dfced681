using System.Text.Json;

namespace Shinano.Cli.Tests;

/// <summary>The real programs, end to end, but for the domain process: that one is the double and runs no guest.</summary>
public sealed class XmProgramTests
{
    [Fact]
    public async Task A_domain_is_created_listed_and_destroyed()
    {
        await using CliHome home = CliHome.Create();
        CliResult created = await home.XmAsync("create", "a.cfg", "vcpus=2", "maxvcpus=3");
        Assert.Equal((0, "Started domain a (id=1)\n", ""), (created.ExitCode, created.Output, created.Error));
        Assert.Contains("\na                                            1    64     2     -b----       3.0\n", (await home.XmAsync("list")).Output, StringComparison.Ordinal);
        Assert.Equal("1\n", (await home.XmAsync("domid", "a")).Output);
        Assert.Equal("a\n", (await home.XmAsync("domname", "1")).Output);
        Assert.Equal(5 + Environment.ProcessorCount - 1, (await home.XmAsync("vcpu-list")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);

        using JsonDocument json = JsonDocument.Parse((await home.XmAsync("list", "--json", "a")).Output);
        Assert.Equal("a", json.RootElement[0].GetProperty("name").GetString());
        using JsonDocument details = JsonDocument.Parse((await home.XmAsync("list", "-l", "a")).Output);
        Assert.Equal(64, details.RootElement[0].GetProperty("configuration").GetProperty("memoryMebibytes").GetInt32());

        Assert.Equal(0, (await home.XmAsync("destroy", "a")).ExitCode);
        CliResult gone = await home.XmAsync("destroy", "a");
        Assert.Equal((1, "Error: no domain 'a'\n"), (gone.ExitCode, gone.Error));
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(home.Directory, "run", "domains")));
    }

    [Theory]
    [InlineData("poweroff", "", 0)]
    [InlineData("reboot", "on_reboot='destroy'", 20)]
    [InlineData("crash", "", 22)]
    [InlineData("watchdog", "", 23)]
    [InlineData("die", "", 25)]
    [InlineData("crash", "on_crash='preserve'", 22)]
    public async Task A_followed_domain_s_end_is_the_exit_code(string typed, string setting, int expected)
    {
        await using CliHome home = CliHome.Create();
        string[] settings = setting.Length > 0 ? [setting] : [];
        CliResult result = await home.RunAsync($"hello\n{typed}\n", "xm", ["create", "-c", "a.cfg", .. settings]);
        Assert.Equal(expected, result.ExitCode);
        Assert.StartsWith("fake console\r\n# hello: not found\r\n", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_followed_domain_is_followed_through_a_reboot()
    {
        await using CliHome home = CliHome.Create();
        Task<CliResult> followed = home.RunAsync("reboot\n", "xm", "create", "-c", "a.cfg");
        CliResult ended;
        do
        {
            ended = await home.XmAsync("trigger", "2", "power");
        }
        while (ended.ExitCode != 0);

        CliResult result = await followed;
        Assert.Equal("Domain a (id=1): rebooted; restarted as id=2\n", result.Error);
        Assert.Equal(0, result.ExitCode);

        // The second domain may have been ended before its console was reached.
        Assert.Matches(@"^(fake console\r\n# ){1,2}$", result.Output);
    }

    [Fact]
    public async Task A_followed_domain_goes_on_when_xend_ends()
    {
        await using CliHome home = CliHome.Create();
        Task<CliResult> followed = home.XmAsync("create", "-c", "a.cfg");
        while ((await home.XmAsync("sysrq", "a", "h")).ExitCode != 0)
        {
            Assert.False(followed.IsCompleted);
        }

        Assert.Equal(0, (await home.RunAsync("", "xend", "stop")).ExitCode);
        Assert.False(followed.IsCompleted);
        Assert.Equal(0, (await home.XmAsync("trigger", "a", "power")).ExitCode);
        CliResult result = await followed;
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
    }

    [Fact]
    public async Task Destroyed_by_another_is_told()
    {
        await using CliHome home = CliHome.Create();
        Task<CliResult> followed = home.XmAsync("create", "-c", "a.cfg");
        CliResult destroyed;
        do
        {
            destroyed = await home.XmAsync("destroy", "a");
        }
        while (destroyed.ExitCode != 0);

        CliResult result = await followed;

        // Before the domain was complete, its creation fails; after, its end is the exit code.
        Assert.True(result.ExitCode is 24 or 1, result.Error);
    }

    [Fact]
    public async Task Shutdown_waits()
    {
        await using CliHome home = CliHome.Create();
        await home.XmAsync("create", "a.cfg");
        Task<CliResult> shutdown = home.XmAsync("shutdown", "-a", "-w");
        while ((await home.RunAsync("", "xenstore-read", "/local/domain/1/control/shutdown")).Output != "poweroff\n")
        {
            Assert.False(shutdown.IsCompleted);
        }

        await home.XmAsync("trigger", "a", "power");
        CliResult result = await shutdown;
        Assert.Equal((0, "Domain a (id=1) ended: powered off\n"), (result.ExitCode, result.Output));
    }

    [Theory]
    [InlineData("Error: missing.cfg: no such configuration file\n", "create", "missing.cfg")]
    [InlineData("Error: .: is a directory, not a configuration\n", "create", ".")]
    [InlineData("<no file>: error: 'name' is missing: name = \"...\"\n<no file>: error: 'kernel' is missing: kernel = \"/path/to/vmlinuz\", or bootloader = \"pvgrub\" and a disk with a kernel on it\nError: <no file>: 2 errors: no domain was made\n", "create", "memory=64")]
    [InlineData("<command line>: error: memory=\"lots\" is not a number\nError: a.cfg: 1 error: no domain was made\n", "create", "a.cfg", "memory=lots")]
    [InlineData("Error: two files were given, 'a.cfg' and 'b.cfg'; settings have the form key=value\n", "create", "a.cfg", "b.cfg")]
    [InlineData("Error: no domain 'nobody'\n", "pause", "nobody")]
    [InlineData("Error: no domain 'nobody'\n", "perf-stat", "nobody")]
    [InlineData("Error: Domain-0 is the host itself: this cannot be done to it\n", "perf-stat", "0")]
    [InlineData("Error: Domain-0 is the host itself: this cannot be done to it\n", "destroy", "0")]
    [InlineData("Error: '10q' is not an amount of memory: a number of MiB, or one with k, m, g or t\n", "mem-set", "a", "10q")]
    public async Task What_is_wrong_is_named(string expected, params string[] arguments)
    {
        await using CliHome home = CliHome.Create();
        CliResult result = await home.XmAsync(arguments);
        Assert.Equal((1, "", expected), (result.ExitCode, result.Output, result.Error));
    }

    [Theory]
    [InlineData("bogus")]
    [InlineData("create")]
    [InlineData("vcpu-set", "a", "many")]
    [InlineData("trigger", "a", "explode")]
    [InlineData("shutdown")]
    [InlineData("perf-stat")]
    [InlineData("perf-stat", "a", "-d", "0")]
    [InlineData("perf-stat", "a", "-i", "0")]
    public async Task Wrong_usage_is_2(params string[] arguments)
    {
        await using CliHome home = CliHome.Create();
        Assert.Equal(2, (await home.XmAsync(arguments)).ExitCode);
    }

    [Fact]
    public async Task Syntax_errors_and_strict_warnings_have_places()
    {
        await using CliHome home = CliHome.Create();
        home.WriteConfiguration("bad.cfg", "name = 'a\n");
        CliResult bad = await home.XmAsync("create", "bad.cfg");
        Assert.Equal(1, bad.ExitCode);
        Assert.StartsWith("bad.cfg:1:10: error: syntax error: unexpected end of line", bad.Error, StringComparison.Ordinal);

        home.WriteConfiguration("odd.cfg", "name = 'a'\nmempry = 3\n");
        CliResult odd = await home.XmAsync("create", "-n", "odd.cfg");
        Assert.Equal((0, "odd.cfg:2:1: warning: unknown key 'mempry' is ignored; did you mean 'memory'?\n"), (odd.ExitCode, odd.Error));
        CliResult strict = await home.XmAsync("create", "--strict", "odd.cfg");
        Assert.Equal(1, strict.ExitCode);
        Assert.StartsWith("odd.cfg:2:1: error: unknown key 'mempry' is ignored; did you mean 'memory'?", strict.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task First_uses_at_once_start_one_xend()
    {
        await using CliHome home = CliHome.Create();
        CliResult[] results = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => home.XmAsync("info", "--json")));
        Assert.All(results, result => Assert.Equal((0, ""), (result.ExitCode, result.Error)));
        Assert.Single(results.Select(result => JsonDocument.Parse(result.Output).RootElement.GetProperty("xendProcessId").GetInt32()).Distinct());
    }

    [Fact]
    public async Task Every_verb_has_help()
    {
        await using CliHome home = CliHome.Create();
        string[] verbs =
        [
            "create", "list", "console", "pause", "unpause", "shutdown", "reboot", "destroy", "rename", "domid", "domname", "info", "uptime", "vcpu-list",
            "vcpu-set", "mem-set", "mem-max", "sysrq", "trigger", "dump-core", "dmesg", "log", "new", "start", "delete", "quickstart",
            "perf-stat", "sched-credit", "vcpu-pin", "help",
        ];
        string help = (await home.XmAsync("help")).Output;
        foreach (string verb in verbs)
        {
            Assert.Contains($"\n  {verb} ", help, StringComparison.Ordinal);
        }

        Assert.Contains("xm vcpu-set <domain> <vcpus>", (await home.XmAsync("vcpu-set", "-h")).Output, StringComparison.Ordinal);
        Assert.Equal((await home.XmAsync("list", "-h")).Output, (await home.XmAsync("help", "list")).Output);
        Assert.Equal("destroy\n", (await home.XmAsync("complete", "6", "xm des")).Output);
        Assert.Equal("perf-stat\n", (await home.XmAsync("complete", "9", "xm perf-s")).Output);
        Assert.Contains("--delay\n", (await home.XmAsync("complete", "17", "xm perf-stat a --")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Perf_stat_reports_since_the_start_and_then_the_interval()
    {
        await using CliHome home = CliHome.Create();
        await home.XmAsync("create", "a.cfg", "vcpus=2", "code_cache=32");
        CliResult text = await home.XmAsync("perf-stat", "a", "-i", "2", "-d", "0.01");
        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.Equal(
            [
                "a (id 1), fake, 2 vCPUs, 2.0 s since its start",
                "engine                                       count             /s",
                "translated.blocks                              100             50",
                "code-cache.capacity                       33554432              -",
                "vCPUs                                        count             /s        vcpu0/s        vcpu1/s",
                "instructions.translated                       2000           1000            500            500",
                "",
                "a (id 1), fake, 2 vCPUs, 1.0 s since the last report",
                "engine                                       count             /s",
                "translated.blocks                              100            100",
                "code-cache.capacity                       33554432              -",
                "vCPUs                                        count             /s        vcpu0/s        vcpu1/s",
                "instructions.translated                       2000           2000           1000           1000",
            ],
            text.Output.TrimEnd('\n').Split('\n'));

        CliResult json = await home.XmAsync("perf-stat", "--json", "a");
        Assert.Equal(
            """{"version":1,"domain":"a","domainId":1,"cpuEngine":"fake","sinceStart":true,"seconds":4,"engine":["""
            + """{"name":"translated.blocks","kind":"total","value":300,"change":300,"perSecond":75},"""
            + """{"name":"code-cache.capacity","kind":"level","value":33554432}],"vcpus":["""
            + """{"id":0,"counters":[{"name":"instructions.translated","kind":"total","value":3000,"change":3000,"perSecond":750}]},"""
            + """{"id":1,"counters":[{"name":"instructions.translated","kind":"total","value":3000,"change":3000,"perSecond":750}]}]}"""
            + "\n",
            json.Output);
    }

    [Fact]
    public async Task Perf_stat_refuses_counters_of_another_version()
    {
        await using CliHome home = CliHome.Create();
        await home.XmAsync("create", "a.cfg", "extra=fake.later-version");
        CliResult result = await home.XmAsync("perf-stat", "a");
        Assert.Equal((1, "", "Error: domain 'a' has counters of version 2, xend reads version 1\n"), (result.ExitCode, result.Output, result.Error));
    }

    [Fact]
    public async Task Xentop_prints_batches()
    {
        await using CliHome home = CliHome.Create();
        await home.XmAsync("create", "a.cfg");
        CliResult result = await home.RunAsync("", "xentop", "-b", "-i", "2", "-d", "0.01");
        string[] lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((0, 6), (result.ExitCode, lines.Length));
        Assert.Equal(2, lines.Count(line => line.StartsWith("      NAME  STATE ", StringComparison.Ordinal)));
        Assert.Equal(2, lines.Count(line => line.StartsWith("         a -b----          1 ", StringComparison.Ordinal)));
    }
}
