using System.Diagnostics;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Tests;

/// <summary>kill -9 of xend and of domain processes. The domain process is the double; xend is the real program.</summary>
public sealed class XendRestartTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_new_xend_takes_over_what_runs()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        CreatedDomain domain = (await home.CreateAsync("a"))!;
        int process = await home.ProcessOfAsync("a");
        await home.KillXendAsync();
        await home.StartXendAsync();

        DomainDetails adopted = await home.Client.DescribeAsync("a", Cancellation);
        Assert.Equal((domain.Id, domain.Uuid, process), (adopted.Summary.Id, adopted.Summary.Uuid, adopted.ProcessId));
        Assert.True(adopted.Summary.Responding);
        Assert.Equal(domain.ConsoleSocket, adopted.ConsoleSocket);
        await home.Client.PauseAsync("a", Cancellation);
        Assert.Equal(2, (await home.CreateAsync("b"))!.Id);

        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        await FakeGuest.TypeAsync(domain.ConsoleSocket, "poweroff", Cancellation);
        Assert.Equal(DomainEnd.Poweroff, (await ended).End);
        await home.Client.DestroyAsync("b", Cancellation);
        await home.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task What_ended_while_xend_was_away_is_handled()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        CreatedDomain off = (await home.CreateAsync("off"))!;
        CreatedDomain reboots = (await home.CreateAsync("reboots"))!;
        await home.CreateAsync("dies", "on_crash = 'preserve'");
        ProcessStamp victim = ProcessStamp.Of(await home.ProcessOfAsync("dies"))!;
        await home.KillXendAsync();
        await FakeGuest.TypeAsync(off.ConsoleSocket, "poweroff", Cancellation);
        await FakeGuest.TypeAsync(reboots.ConsoleSocket, "reboot", Cancellation);
        await KillAsync(victim);
        await home.StartXendAsync();

        Assert.Equal(DomainEnd.Poweroff, (await home.Client.WaitForEndAsync(off.Id, Cancellation)).End);
        DomainOutcome reboot = await home.Client.WaitForEndAsync(reboots.Id, Cancellation);
        Assert.Equal((DomainEnd.Reboot, "reboots"), (reboot.End, reboot.Successor!.Name));
        Assert.Equal(DomainStates.Shutdown | DomainStates.Crashed, (await home.Client.DescribeAsync("dies", Cancellation)).Summary.State);

        // Kept ones stay kept.
        await home.KillXendAsync();
        await home.StartXendAsync();
        Assert.Equal(DomainStates.Shutdown | DomainStates.Crashed, (await home.Client.DescribeAsync("dies", Cancellation)).Summary.State);
        await home.Client.DestroyAsync("dies", Cancellation);
        await home.Client.DestroyAsync("reboots", Cancellation);
        await home.AssertNothingLeftAsync();
    }

    [Fact]
    public async Task A_domain_that_was_being_built_is_removed()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        Task creation = home.CreateAsync("a", "extra = 'fake.slow-build'");
        while (!(await home.Client.ListAsync(Cancellation)).Any(domain => domain is { Name: "a", Responding: true }))
        {
            await Task.Delay(10, Cancellation);
        }

        ProcessStamp process = ProcessStamp.Of(await home.ProcessOfAsync("a"))!;
        await home.KillXendAsync();
        await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, creation);
        Assert.True(process.IsAlive());
        await home.StartXendAsync();
        Assert.False(process.IsAlive());
        await home.AssertNothingLeftAsync();
    }

    [Theory]
    [InlineData("destroy")]
    [InlineData("coredump-destroy")]
    public async Task A_killed_domain_process_is_a_crash(string action)
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", $"on_crash = '{action}'"))!;
        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        await KillAsync(ProcessStamp.Of(await home.ProcessOfAsync("a"))!);
        DomainOutcome outcome = await ended;
        Assert.Equal((DomainEnd.ProcessDied, "destroy", null), (outcome.End, outcome.Action, outcome.Successor));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_killed_domain_process_is_restarted_when_on_crash_says_so()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain domain = (await home.CreateAsync("a", "on_crash = 'restart'"))!;
        Task<DomainOutcome> ended = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        await KillAsync(ProcessStamp.Of(await home.ProcessOfAsync("a"))!);
        Assert.Equal((2, "a"), ((await ended).Successor!.Id, (await ended).Successor!.Name));
        Assert.True((await home.Client.DescribeAsync("2", Cancellation)).Summary.Responding);
    }

    [Fact]
    public async Task There_is_one_xend_to_a_home()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        using Process second = home.StartXendProcess();
        string complaint = await second.StandardError.ReadToEndAsync(Cancellation);
        await second.WaitForExitAsync(Cancellation);
        Assert.Equal(3, second.ExitCode);
        Assert.Contains("another xend serves", complaint, StringComparison.Ordinal);
        Assert.Equal(home.XendProcessId, (await home.Client.GetHostAsync(Cancellation)).XendProcessId);
    }

    [Fact]
    public async Task The_socket_is_for_its_owner_alone()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(home.Paths.XendSocket));
    }

    private static async Task KillAsync(ProcessStamp process)
    {
        using Process target = Process.GetProcessById(process.Id);
        target.Kill();
        while (process.IsAlive())
        {
            await Task.Delay(10, Cancellation);
        }
    }
}
