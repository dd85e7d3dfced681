using Microsoft.Extensions.DependencyInjection;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>xend with the double of the domain process: no guest runs in these tests.</summary>
public sealed class DomainLifeTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_domain_is_created_listed_paused_and_destroyed()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "vcpus = 2\nmaxvcpus = 3"))!;
        Assert.Equal(1, domain.Id);

        IReadOnlyList<DomainSummary> list = await home.Client.ListAsync(Cancellation);
        Assert.Equal([(0, "Domain-0"), (1, "a")], list.Select(d => (d.Id!.Value, d.Name)));
        Assert.Equal(DomainStates.Blocked, list[1].State);
        Assert.Equal((2, 3, 64L << 20), (list[1].Vcpus, list[1].MaxVcpus, list[1].MemoryBytes));

        await home.Client.PauseAsync("a", Cancellation);
        Assert.Equal(DomainStates.Paused, (await home.Client.DescribeAsync("1", Cancellation)).Summary.State);
        await home.Client.UnpauseAsync($"{domain.Uuid}", Cancellation);
        Assert.Equal(DomainStates.Blocked, (await home.Client.DescribeAsync("1", Cancellation)).Summary.State);

        Task<DomainOutcome> outcome = home.Client.WaitForEndAsync(1, Cancellation);
        await home.Client.DestroyAsync("a", Cancellation);
        Assert.Equal(DomainEnd.Destroyed, (await outcome).End);
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task The_xenstore_tree_is_laid_out_with_its_rights()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "vcpus = 1\nmaxvcpus = 2\nmaxmem = 128\nextra = 'x y'"))!;
        IXenStoreNodes nodes = Store(home).Nodes;
        const string path = "/local/domain/1";
        (string Node, string Value)[] expected =
        [
            ("vm", $"/vm/{domain.Uuid}"), ("name", "a"), ("domid", "1"), ("memory/static-max", "131072"), ("memory/target", "65536"),
            ("cpu/0/availability", "online"), ("cpu/1/availability", "offline"), ("store/ring-ref", "4660"), ("store/port", "1"),
            ("console/ring-ref", "4661"), ("console/port", "2"), ("console/type", "xenconsoled"), ("console/limit", "1048576"),
            ("control/platform-feature-xs_reset_watches", "1"),
        ];
        Assert.All(expected, e => Assert.Equal(e.Value, nodes.TryReadString($"{path}/{e.Node}")));
        Assert.All(expected, e => Assert.Equal(["n0", "r1"], Permissions(nodes, $"{path}/{e.Node}")));
        Assert.All(
            (string[])["control/shutdown", "control/feature-poweroff", "data", "error", "device/suspend/event-channel"],
            node => Assert.Equal(["n1"], Permissions(nodes, $"{path}/{node}")));
        Assert.All((string[])["", "/cpu", "/cpu/0", "/memory", "/control", "/store", "/console", "/device"], directory =>
            Assert.Equal(["n0", "r1"], Permissions(nodes, path + directory)));
        Assert.Equal("x y", nodes.TryReadString($"/vm/{domain.Uuid}/image/cmdline"));
        Assert.True(Store(home).IsIntroduced(new XenAbi.DomainId(1)));
        Assert.Equal("Domain-0", nodes.TryReadString("/local/domain/0/name"));
    }

    [Fact]
    public async Task Requests_to_the_guest_go_through_xenstore()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "vcpus = 1\nmaxvcpus = 4\nmaxmem = 128");
        IXenStoreNodes nodes = Store(home).Nodes;
        await home.Client.SetVcpusAsync("a", 3, Cancellation);
        Assert.Equal(
            ["online", "online", "online", "offline"],
            Enumerable.Range(0, 4).Select(n => nodes.TryReadString($"/local/domain/1/cpu/{n}/availability")));
        await home.Client.SetMemoryAsync("a", 100L << 20, Cancellation);
        Assert.Equal("102400", nodes.TryReadString("/local/domain/1/memory/target"));
        await home.Client.SetMaximumMemoryAsync("a", 200L << 20, Cancellation);
        Assert.Equal("204800", nodes.TryReadString("/local/domain/1/memory/static-max"));
        await home.Client.ShutdownAsync("a", "reboot", Cancellation);
        Assert.Equal("reboot", nodes.TryReadString("/local/domain/1/control/shutdown"));
        await home.Client.SendSysRqAsync("a", "h", Cancellation);
        Assert.Equal("h", nodes.TryReadString("/local/domain/1/control/sysrq"));

        await FailsAsync(DomainFailureCode.InvalidArgument, home.Client.SetVcpusAsync("a", 5, Cancellation));
        await FailsAsync(DomainFailureCode.InvalidArgument, home.Client.SetMemoryAsync("a", 1L << 40, Cancellation));
        await FailsAsync(DomainFailureCode.InvalidArgument, home.Client.SendSysRqAsync("a", "hh", Cancellation));
        await FailsAsync(DomainFailureCode.InvalidArgument, home.Client.TriggerAsync("a", DomainTrigger.Nmi, 4, Cancellation));
    }

    [Fact]
    public async Task A_reboot_makes_a_new_domain_of_the_same_name_and_uuid()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain first = (await home.CreateAsync("a", paused: true))!;
        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(first.Id, Cancellation);
        await home.Client.UnpauseAsync("a", Cancellation);
        await FakeGuest.TypeAsync(first.ConsoleSocket, "reboot", Cancellation);
        DomainOutcome outcome = await ended;
        Assert.Equal((DomainEnd.Reboot, "restart"), (outcome.End, outcome.Action));
        Assert.Equal((first.Id + 1, "a", first.Uuid), (outcome.Successor!.Id, outcome.Successor.Name, outcome.Successor.Uuid));
        Assert.Null(Store(home).Nodes.TryRead("/local/domain/1"));
        Assert.Equal("a", Store(home).Nodes.TryReadString($"/vm/{first.Uuid}/name"));
    }

    [Fact]
    public async Task A_domain_that_only_reboots_is_stopped()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "extra = 'fake.shutdown=reboot'"))!;
        DomainOutcome outcome = await home.Client.WaitForEndAsync(domain.Id, Cancellation);
        int restarts = 0;
        while (outcome.Successor is { } successor)
        {
            restarts++;
            outcome = await home.Client.WaitForEndAsync(successor.Id, Cancellation);
        }

        Assert.Equal(5, restarts);
        Assert.Contains("not restarted again", outcome.Detail, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Theory]
    [InlineData("poweroff", "on_poweroff", DomainEnd.Poweroff)]
    [InlineData("crash", "on_crash", DomainEnd.Crash)]
    [InlineData("watchdog", "on_watchdog", DomainEnd.Watchdog)]
    public async Task A_preserved_domain_stays_until_it_is_destroyed(string end, string key, DomainEnd expected)
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", $"{key} = 'preserve'\nextra = 'fake.shutdown={end}'"))!;
        Assert.Equal((expected, "preserve"), await EndOfAsync(home, domain.Id));
        DomainSummary summary = (await home.Client.DescribeAsync("a", Cancellation)).Summary;
        Assert.True(summary.State.HasFlag(DomainStates.Shutdown));
        Assert.Equal(expected == DomainEnd.Crash, summary.State.HasFlag(DomainStates.Crashed));
        await home.Client.DestroyAsync("a", Cancellation);
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task Rename_restart_keeps_the_old_one_under_another_name()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "on_crash = 'rename-restart'"))!;
        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        await FakeGuest.TypeAsync(domain.ConsoleSocket, "crash", Cancellation);
        DomainOutcome outcome = await ended;
        Assert.Equal(domain.Uuid, outcome.Successor!.Uuid);
        DomainSummary old = (await home.Client.DescribeAsync("1", Cancellation)).Summary;
        Assert.Equal("a-1", old.Name);
        Assert.NotEqual(domain.Uuid, old.Uuid);
        Assert.Equal("a-1", Store(home).Nodes.TryReadString($"/vm/{old.Uuid}/name"));
        Assert.Equal("a", Store(home).Nodes.TryReadString($"/vm/{domain.Uuid}/name"));
    }

    [Fact]
    public async Task A_core_is_dumped_before_the_domain_goes()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "on_crash = 'coredump-destroy'\nextra = 'fake.shutdown=crash'"))!;
        Assert.Equal((DomainEnd.Crash, "coredump-destroy"), await EndOfAsync(home, domain.Id));
        string core = Assert.Single(Directory.GetFiles(Path.Combine(home.Paths.StateDirectory, "dump")));
        Assert.Equal("fake core", await File.ReadAllTextAsync(core, Cancellation));
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task Ten_at_once_get_ten_ids_and_leave_nothing()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain?[] domains = await Task.WhenAll(Enumerable.Range(0, 10).Select(n => home.CreateAsync($"d{n}")));
        Assert.Equal(Enumerable.Range(1, 10), domains.Select(d => d!.Id).Order());
        await Task.WhenAll(domains.Select(d => home.Client.DestroyAsync(d!.Name, Cancellation)));
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task A_renamed_domain_is_found_by_its_new_name()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a");
        await home.CreateAsync("b");
        await home.Client.RenameAsync("a", "c", Cancellation);
        Assert.Equal("c", Store(home).Nodes.TryReadString("/local/domain/1/name"));
        await FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.PauseAsync("a", Cancellation));
        await FailsAsync(DomainFailureCode.Duplicate, home.Client.RenameAsync("c", "b", Cancellation));
        await FailsAsync(DomainFailureCode.InvalidArgument, home.Client.RenameAsync("c", "../b", Cancellation));
        await home.Client.PauseAsync("c", Cancellation);
    }

    [Fact]
    public async Task Managed_domains_are_kept_started_and_deleted()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.Client.DefineAsync(home.Request("m"), null, Cancellation);
        DomainSummary defined = Assert.Single(await home.Client.ListAsync(Cancellation), d => d.Name == "m");
        Assert.Null(defined.Id);
        Assert.True(defined.Managed);
        await FailsAsync(DomainFailureCode.WrongState, home.Client.PauseAsync("m", Cancellation));
        await FailsAsync(DomainFailureCode.Duplicate, home.CreateAsync("m"));

        CreatedDomain started = (await home.Client.StartAsync("m", paused: false, null, Cancellation))!;
        Assert.Equal(defined.Uuid, started.Uuid);
        await FailsAsync(DomainFailureCode.WrongState, home.Client.DeleteAsync("m", Cancellation));
        await home.Client.DestroyAsync("m", Cancellation);
        Assert.Single(await home.Client.ListAsync(Cancellation), d => d.Name == "m");
        await home.Client.DeleteAsync("m", Cancellation);
        await home.AssertNothingLeftAsync(Store(home));
        await FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.StartAsync("m", false, null, Cancellation));
    }

    internal static async Task<DomainFailure> FailsAsync(DomainFailureCode code, Task task)
    {
        XendFailureException e = await Assert.ThrowsAsync<XendFailureException>(() => task);
        Assert.Equal(code, e.Failure.Code);
        return e.Failure;
    }

    internal static LocalStore Store(TestHome home) => home.Host.Services.GetRequiredService<LocalStore>();

    private static string[] Permissions(IXenStoreNodes nodes, string path) => [.. nodes.TryGetPermissions(path)!.Select(p => p.ToString())];

    private static async Task<(DomainEnd End, string Action)> EndOfAsync(TestHome home, int id)
    {
        DomainOutcome outcome = await home.Client.WaitForEndAsync(id, Cancellation);
        return (outcome.End, outcome.Action);
    }
}
