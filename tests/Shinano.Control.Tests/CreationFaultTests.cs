using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Tests;

/// <summary>Every failure of a creation has a name and leaves nothing behind. The domain process is the double.</summary>
public sealed class CreationFaultTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("kernel = '/nonexistent/vmlinuz'", DomainFailureCode.KernelUnreadable, "/nonexistent/vmlinuz: the kernel does not exist")]
    [InlineData("kernel = '/etc'", DomainFailureCode.KernelUnreadable, "/etc: the kernel is a directory, not a file")]
    [InlineData("ramdisk = 'missing'", DomainFailureCode.RamdiskUnreadable, "missing: the ramdisk does not exist")]
    [InlineData("memory = 16000000", DomainFailureCode.MemoryTooLarge, "memory=16000000 MiB is more than this host has")]
    [InlineData("extra = 'fake.build-fail=NotAKernel'", DomainFailureCode.NotAKernel, "told to fail")]
    [InlineData("extra = 'fake.build-fail=MemoryTooSmall'", DomainFailureCode.MemoryTooSmall, "told to fail")]
    [InlineData("extra = 'fake.exit-early'", DomainFailureCode.DomainProcessLost, "fake: something went wrong early")]
    [InlineData("extra = 'fake.fail-early'", DomainFailureCode.CpuEngineUnavailable, "no such engine here")]
    [InlineData("extra = 'fake.die-in-build'", DomainFailureCode.DomainProcessLost, "the domain process has ended")]
    [InlineData("memory = 'x'", DomainFailureCode.BadConfiguration, "test.cfg: 1 error")]
    public async Task A_failure_has_a_name_and_leaves_nothing(string settings, DomainFailureCode code, string message)
    {
        await using TestHome home = await TestHome.StartAsync();
        DomainFailure failure = await DomainLifeTests.FailsAsync(code, home.CreateAsync("a", settings));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_ramdisk_larger_than_memory_is_refused()
    {
        await using TestHome home = await TestHome.StartAsync();
        string ramdisk = Path.Combine(home.Directory, "ramdisk");
        await using (FileStream file = File.Create(ramdisk))
        {
            file.SetLength(65L << 20);
        }

        await DomainLifeTests.FailsAsync(DomainFailureCode.RamdiskTooLarge, home.CreateAsync("a", $"ramdisk = '{ramdisk}'"));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_name_that_is_taken_is_refused_and_the_first_domain_goes_on()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain first = (await home.CreateAsync("a"))!;
        await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, home.CreateAsync("a"));
        await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, home.CreateAsync("b", $"uuid = '{first.Uuid}'"));
        Assert.Equal([0, first.Id], (await home.Client.ListAsync(Cancellation)).Select(domain => domain.Id!.Value));
    }

    [Fact]
    public async Task Logs_that_cannot_be_written_are_named()
    {
        await using TestHome home = await TestHome.StartAsync();

        // A directory in the log's place fails for root too, as a full disk would.
        Directory.CreateDirectory(Path.Combine(home.Paths.LogDirectory, "domain-a.log"));
        DomainFailure failure = await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, home.CreateAsync("a"));
        Assert.Contains("domain-a.log: the domain's log cannot be written", failure.Message, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_client_that_goes_away_takes_the_half_made_domain_with_it()
    {
        await using TestHome home = await TestHome.StartAsync();
        using CancellationTokenSource gone = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task<CreatedDomain?> creation = home.Client.CreateAsync(home.Request("a", "extra = 'fake.slow-build'"), null, gone.Token);
        await UntilAsync(async () => (await home.Client.ListAsync(Cancellation)).Any(domain => domain is { Name: "a", Responding: true }));
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => creation);
        await UntilAsync(async () => (await home.Client.ListAsync(Cancellation)).Count == 1);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Theory]
    [InlineData("x")]
    [InlineData("0")]
    [InlineData("Domain-0")]
    [InlineData("-1")]
    [InlineData("../1")]
    [InlineData("99999999999999999999")]
    public async Task A_domain_that_is_not_there_has_no_operations(string name)
    {
        await using TestHome home = await TestHome.StartAsync();
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.PauseAsync(name, Cancellation));
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.DestroyAsync(name, Cancellation));
    }

    [Fact]
    public async Task A_domain_process_that_does_not_listen_to_destroy_is_killed()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "extra = 'fake.deaf'");
        ProcessStamp process = ProcessStamp.Of(await home.ProcessOfAsync("a"))!;
        await home.Client.DestroyAsync("a", Cancellation);
        Assert.False(process.IsAlive());
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    /// <summary>Polls what cannot be waited for from outside; the test's own timeout is the limit.</summary>
    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        while (!await condition())
        {
            await Task.Delay(10, Cancellation);
        }
    }
}
