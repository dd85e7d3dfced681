using System.Text.Json;

namespace Shinano.EndToEnd.Tests;

public sealed class LifecycleTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    [Fact]
    public async Task A_created_domain_is_listed_paused_and_destroyed()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("one", $"memory = 128\n{files.Boot}");
        Succeeded(await host.XmAsync("create", path));
        Assert.Contains("one", Succeeded(await host.XmAsync("list")).Output, StringComparison.Ordinal);
        Succeeded(await host.XmAsync("pause", "one"));
        string state = Succeeded(await host.XmAsync("list", "one")).Output;
        Assert.Matches(@"one\s+\d+\s+128\s+1\s+--p---", state);
        Succeeded(await host.XmAsync("unpause", "one"));
        Succeeded(await host.XmAsync("destroy", "one"));
        Assert.DoesNotContain("one", Succeeded(await host.XmAsync("list")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_attached_creation_tells_that_the_domain_crashed()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("ends", $"memory = 128\non_crash = \"destroy\"\n{files.Boot}");
        ToolResult result = await host.RunAsync("xm", ["create", "-c", path], "echo c > /proc/sysrq-trigger\n");
        Assert.True(result.ExitCode != 0, result.ToString());
    }

    /// <summary>Ten by name (SHINANO_DOMAINS=10); a few in every run.</summary>
    [Fact]
    public async Task Several_domains_run_at_once()
    {
        await using Host host = Host.Create();
        string[] names = [.. Enumerable.Range(0, Setting("SHINANO_DOMAINS", 3)).Select(number => $"many{number}")];
        foreach (string name in names)
        {
            Succeeded(await host.XmAsync("create", host.Configuration(name, $"memory = 128\n{files.Boot}")));
        }

        using JsonDocument list = JsonDocument.Parse(Succeeded(await host.XmAsync("list", "--json")).Output);
        Assert.Equal(["Domain-0", .. names], list.RootElement.EnumerateArray().Select(domain => domain.GetProperty("name").GetString()));
        foreach (string name in names)
        {
            Succeeded(await host.XmAsync("destroy", name));
        }

        Assert.DoesNotContain("many", Succeeded(await host.XmAsync("list")).Output, StringComparison.Ordinal);
    }

    /// <summary>Fifty rounds by name (SHINANO_CYCLES=50); a few in every run.</summary>
    [Fact]
    public async Task Creating_and_destroying_leaves_nothing_behind()
    {
        await using Host host = Host.Create();
        int rounds = Setting("SHINANO_CYCLES", 3);
        string path = host.Configuration("cycle", $"memory = 128\n{files.Boot}");
        await Round();
        string[] before = Left();
        int processes = host.Processes().Count;
        string store = Succeeded(await host.RunAsync("xenstore-ls", ["/local"])).Output;
        for (int i = 0; i < rounds; i++)
        {
            await Round();
        }

        Assert.Equal(before, Left());
        Assert.Equal(processes, host.Processes().Count);
        Assert.Equal(store, Succeeded(await host.RunAsync("xenstore-ls", ["/local"])).Output);

        async Task Round()
        {
            Succeeded(await host.XmAsync("create", path));
            Succeeded(await host.XmAsync("destroy", "cycle"));
        }

        string[] Left() => [.. Directory.EnumerateFileSystemEntries(Path.Combine(host.Home, "run"), "*", SearchOption.AllDirectories).Order()];
    }

    [Fact]
    public async Task A_killed_daemon_finds_its_domains_again()
    {
        await using Host host = Host.Create();
        Succeeded(await host.XmAsync("create", host.Configuration("kept", $"memory = 128\n{files.Boot}")));
        string id = Succeeded(await host.XmAsync("domid", "kept")).Output;
        int daemon = host.Daemon();
        await host.KillDaemonAsync();

        Assert.Equal(id, Succeeded(await host.XmAsync("domid", "kept")).Output);
        Assert.NotEqual(daemon, host.Daemon());
        Succeeded(await host.XmAsync("destroy", "kept"));
    }

    private static int Setting(string name, int usual) =>
        Environment.GetEnvironmentVariable(name) is { } text ? int.Parse(text, System.Globalization.CultureInfo.InvariantCulture) : usual;

    private static ToolResult Succeeded(ToolResult result)
    {
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }
}
