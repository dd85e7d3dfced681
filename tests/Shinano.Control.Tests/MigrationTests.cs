using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>Domains that go from one xend to another, over TLS and through a command. The domain process is the double.</summary>
public sealed class MigrationTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_domain_goes_to_another_xend_with_its_state_and_its_nodes(bool live)
    {
        await using MigrationPair pair = await MigrationPair.StartAsync();
        await pair.Target.CreateAsync("other");
        CreatedDomain first = (await pair.Source.CreateAsync("a", "vcpus = 1\nmaxvcpus = 2\nextra = 'fake.memory=-that-remembers'"))!;
        LocalStore here = DomainLifeTests.Store(pair.Source);
        LocalStore there = DomainLifeTests.Store(pair.Target);
        here.Nodes.Write("/local/domain/1/data/mine", "x");
        Task<DomainOutcome> outcome = pair.Source.Client.WaitForEndAsync(1, Cancellation);
        MigrationResult result = await pair.MigrateAsync("a", live);
        Assert.Equal((2, live ? 1 : 0), (result.TargetId, result.Rounds));
        Assert.InRange(result.DowntimeNanoseconds, 1, result.TotalNanoseconds);
        Assert.Equal((DomainEnd.Suspend, "migrate"), ((await outcome).End, (await outcome).Action));
        await pair.Source.AssertNothingLeftAsync(here);
        DomainSummary moved = (await pair.Target.Client.DescribeAsync("a", Cancellation)).Summary;
        Assert.Equal((2, first.Uuid, DomainStates.Blocked), (moved.Id, moved.Uuid, moved.State));
        Assert.Equal("x", there.Nodes.TryReadString("/local/domain/2/data/mine"));
        Assert.Contains("that-remembers", await pair.Target.Client.GetHypervisorLogAsync("a", false, Cancellation), StringComparison.Ordinal);
        await pair.Target.Client.DestroyAsync("other", Cancellation);
        await pair.Target.Client.DestroyAsync("a", Cancellation);
        await pair.Target.AssertNothingLeftAsync(there);
    }

    [Fact]
    public async Task Only_trusted_keys_and_only_where_somebody_listens()
    {
        await using MigrationPair pair = await MigrationPair.StartAsync();
        await pair.Source.CreateAsync("a");
        string there = (await pair.Target.Client.GetMigrationSettingsAsync(Cancellation)).Fingerprint;
        string here = (await pair.Source.Client.GetMigrationSettingsAsync(Cancellation)).Fingerprint;
        await pair.Target.Client.DistrustAsync("source", Cancellation);
        DomainFailure unknownThere = await DomainLifeTests.FailsAsync(DomainFailureCode.MigrationUntrusted, pair.MigrateAsync("a"));
        Assert.Contains(here, unknownThere.Message, StringComparison.Ordinal);
        await pair.Target.Client.TrustAsync(new TrustedPeer(here, "source"), Cancellation);
        await pair.Source.Client.DistrustAsync(there, Cancellation);
        DomainFailure unknownHere = await DomainLifeTests.FailsAsync(DomainFailureCode.MigrationUntrusted, pair.MigrateAsync("a"));
        Assert.Contains(there, unknownHere.Message, StringComparison.Ordinal);
        await pair.Source.Client.TrustAsync(new TrustedPeer(there, ""), Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.InvalidArgument, pair.Source.Client.TrustAsync(new TrustedPeer("sha256:12", ""), Cancellation));
        await pair.Target.Client.ListenForMigrationsAsync(null, Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.MigrationUnreachable, pair.MigrateAsync("a"));
        MigrationTarget nowhere = new() { Command = "echo 'no such host' >&2; exit 1" };
        DomainFailure silent = await DomainLifeTests.FailsAsync(DomainFailureCode.MigrationBroken, pair.MigrateAsync("a", through: nowhere));
        Assert.Contains("no such host", silent.Message, StringComparison.Ordinal);
        await StaysAsync(pair);
    }

    [Fact]
    public async Task What_the_target_refuses_stays_and_leaves_nothing_there()
    {
        await using MigrationPair pair = await MigrationPair.StartAsync();
        await pair.Source.CreateAsync("a");
        await pair.Target.CreateAsync("a");
        DomainFailure taken = await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, pair.MigrateAsync("a"));
        Assert.Contains("exists already", taken.Message, StringComparison.Ordinal);
        await pair.Target.Client.DestroyAsync("a", Cancellation);
        await StaysAsync(pair);
        await pair.Source.Client.DestroyAsync("a", Cancellation);

        // A state that its target's domain process does not take.
        await pair.Source.CreateAsync("a", "extra = 'fake.memory=nonsense!'");
        await DomainLifeTests.FailsAsync(DomainFailureCode.MigrationSenseless, pair.MigrateAsync("a"));
        await StaysAsync(pair);
        await pair.Source.Client.DestroyAsync("a", Cancellation);

        string image = Path.Combine(pair.Source.Directory, "gone.img");
        await File.WriteAllBytesAsync(image, new byte[512], Cancellation);
        await pair.Source.CreateAsync("a", $"disk = [ 'file:{image},xvda,w' ]");
        File.Delete(image);
        DomainFailure diskless = await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, pair.MigrateAsync("a"));
        Assert.Contains("gone.img does not exist", diskless.Message, StringComparison.Ordinal);
        await StaysAsync(pair);

        await pair.Source.Client.DestroyAsync("a", Cancellation);
        await pair.Source.CreateAsync("a", "extra = 'fake.no-suspend'");
        await DomainLifeTests.FailsAsync(DomainFailureCode.WrongState, pair.MigrateAsync("a"));
        await StaysAsync(pair);
    }

    /// <summary>Cut anywhere on either way: one side runs the domain afterwards, and soon.</summary>
    [Fact]
    public async Task A_connection_that_is_cut_anywhere_leaves_the_domain_on_one_side()
    {
        await using MigrationPair pair = await MigrationPair.StartAsync();
        await pair.Source.CreateAsync("a");
        long there;
        long back;
        using (CuttingProxy whole = new(pair.Port))
        {
            await pair.MigrateAsync("a", through: pair.Address with { Port = whole.Port });
            (there, back) = (whole.There, whole.Back);
            await pair.Target.Client.DestroyAsync("a", Cancellation);
        }

        int stayed = 0;
        int went = 0;
        foreach ((long mostThere, long mostBack) in Cuts(there, back))
        {
            await pair.Source.CreateAsync("a");
            using CuttingProxy proxy = new(pair.Port, mostThere, mostBack);
            Exception? failure = await Record.ExceptionAsync(() => pair.MigrateAsync("a", through: pair.Address with { Port = proxy.Port }));
            TestHome home = await pair.WaitForOneAsync("a");

            // Numbers and times differ in length: a cut one byte before the end may come to lie behind it.
            Assert.True(
                failure is null ? home == pair.Target : failure is XendFailureException said && (home == pair.Source || said.Failure.Code == DomainFailureCode.MigrationUnresolved),
                $"{failure}");
            (stayed, went) = home == pair.Source ? (stayed + 1, went) : (stayed, went + 1);
            await home.Client.DestroyAsync("a", Cancellation);
        }

        Assert.True(stayed > 0 && went > 0, $"{stayed} stayed, {went} went");
        await pair.Source.AssertNothingLeftAsync(DomainLifeTests.Store(pair.Source));
        await pair.Target.AssertNothingLeftAsync(DomainLifeTests.Store(pair.Target));
    }

    private static IEnumerable<(long There, long Back)> Cuts(long there, long back)
    {
        for (int i = 0; i < 4; i++)
        {
            yield return (there * i / 4, long.MaxValue);
            yield return (long.MaxValue, back * i / 4);
        }

        // Messages at the end are small: LAST, then GO, and READY, then DONE.
        foreach (int less in (int[])[1, 40, 80])
        {
            yield return (there - less, long.MaxValue);
            yield return (long.MaxValue, back - less);
        }
    }

    private static async Task StaysAsync(MigrationPair pair)
    {
        Assert.Equal(DomainStates.Blocked, (await pair.Source.Client.DescribeAsync("a", Cancellation)).Summary.State);
        await pair.Target.WaitForNothingLeftAsync(DomainLifeTests.Store(pair.Target));
    }
}
