using System.Diagnostics;
using Shinano.Control.Api;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Tests;

/// <summary>kill -9 of either xend at each step of a migration. xends are the real program, domain processes the double.</summary>
public sealed class MigrationFaultTests
{
    /// <summary>Set to have all places tried: each starts programs five times.</summary>
    private const string All = "SHINANO_MIGRATION_FAULTS";

    private static readonly string[] Always = ["source-committed", "target-taken"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("source-accepted", true)]
    [InlineData("source-copied", true)]
    [InlineData("source-suspended", true)]
    [InlineData("source-sent", true)]
    [InlineData("source-committed", true)]
    [InlineData("source-gone", null)]
    [InlineData("source-done", false)]
    [InlineData("target-ready", true)]
    [InlineData("target-told", true)]
    [InlineData("target-keeps", true)]
    [InlineData("target-taken", false)]
    [InlineData("target-runs", false)]
    public async Task One_side_runs_the_domain_after_a_xend_was_killed(string place, bool? staysHere)
    {
        SkipUnlessAll(!Always.Contains(place));
        await using MigrationPair pair = await MigrationPair.StartProcessesAsync(place);
        TestHome victim = place.StartsWith("source", StringComparison.Ordinal) ? pair.Source : pair.Target;
        await pair.Source.CreateAsync("a");
        Task migration = pair.MigrateAsync("a");
        await victim.WaitForXendAsync();
        await Assert.ThrowsAsync<XendFailureException>(() => migration);
        await victim.StartXendAsync();
        TestHome home = await pair.WaitForOneAsync("a");
        if (staysHere is { } here)
        {
            Assert.Equal(here ? pair.Source.Directory : pair.Target.Directory, home.Directory);
        }

        // It is a whole one: it can be asked, and goes at a word.
        Assert.True((await home.Client.DescribeAsync("a", Cancellation)).Summary.Responding);
        await home.Client.DestroyAsync("a", Cancellation);
        await pair.Source.AssertNothingLeftAsync();
        await pair.Target.AssertNothingLeftAsync();
    }

    /// <summary>While nobody can say what became of the domain it does not run, and a person may decide.</summary>
    [Theory]
    [InlineData(MigrationDecision.Resume)]
    [InlineData(MigrationDecision.Destroy)]
    public async Task A_person_decides_about_a_target_that_never_comes_back(MigrationDecision decision)
    {
        SkipUnlessAll(decision != MigrationDecision.Resume);
        await using MigrationPair pair = await MigrationPair.StartProcessesAsync("target-keeps");
        await pair.Source.CreateAsync("a");
        await DomainLifeTests.FailsAsync(
            Api.Domains.DomainFailureCode.WrongState, pair.Source.Client.ResolveMigrationAsync("a", MigrationDecision.Ask, Cancellation));
        await DomainLifeTests.FailsAsync(Api.Domains.DomainFailureCode.MigrationUnresolved, pair.MigrateAsync("a"));
        await pair.Target.WaitForXendAsync();
        Assert.Equal(Api.Domains.DomainStates.Paused, (await pair.Source.Client.DescribeAsync("a", Cancellation)).Summary.State);
        await DomainLifeTests.FailsAsync(
            Api.Domains.DomainFailureCode.MigrationUnreachable, pair.Source.Client.ResolveMigrationAsync("a", MigrationDecision.Ask, Cancellation));

        // Also after another restart.
        await pair.Source.KillXendAsync();
        await pair.Source.StartXendAsync();
        Assert.Equal(Api.Domains.DomainStates.Paused, (await pair.Source.Client.DescribeAsync("a", Cancellation)).Summary.State);
        ProcessStamp process = ProcessStamp.Of(await pair.Source.ProcessOfAsync("a"))!;
        await pair.Source.Client.ResolveMigrationAsync("a", decision, Cancellation);
        Assert.Equal(decision == MigrationDecision.Resume, process.IsAlive());
        await pair.Target.StartXendAsync();
        await pair.Target.AssertNothingLeftAsync();
    }

    /// <summary>kill -9 of a domain process: before the hand-over the source's end is handled as any, and the target keeps nothing; behind it the target's is.</summary>
    [Theory]
    [InlineData("source-suspended")]
    [InlineData("source-committed")]
    public async Task A_domain_whose_process_died_meanwhile_is_on_one_side_at_most(string place)
    {
        SkipUnlessAll(true);
        await using MigrationPair pair = await MigrationPair.StartProcessesAsync(place);
        await pair.Source.CreateAsync("a", "on_crash = 'restart'");
        using Process process = Process.GetProcessById(await pair.Source.ProcessOfAsync("a"));
        Task migration = pair.MigrateAsync("a");
        await pair.Source.WaitForXendAsync();
        process.Kill();
        await Assert.ThrowsAsync<XendFailureException>(() => migration);
        await pair.Source.StartXendAsync();

        // The target was never told to go on: what is there now is what on_crash makes.
        Assert.Equal(pair.Source.Directory, (await pair.WaitForOneAsync("a")).Directory);
        Assert.NotEqual(process.Id, await pair.Source.ProcessOfAsync("a"));
    }

    private static void SkipUnlessAll(bool isLong) =>
        Assert.SkipWhen(isLong && Environment.GetEnvironmentVariable(All) is null, $"{All} is not set");
}
