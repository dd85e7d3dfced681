using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Tests;

/// <summary>Two homes that trust each other, the second of which takes domains over TLS.</summary>
internal sealed class MigrationPair : IAsyncDisposable
{
    private MigrationPair(TestHome source, TestHome target) => (Source, Target) = (source, target);

    public TestHome Source { get; }

    public TestHome Target { get; }

    /// <summary>Where the target listens.</summary>
    public int Port { get; private set; }

    public MigrationTarget Address => new() { Host = "127.0.0.1", Port = Port };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<MigrationPair> StartAsync() => await PrepareAsync(new MigrationPair(await TestHome.StartAsync(), await TestHome.StartAsync()));

    /// <summary>With xends as processes of their own, one of which ends at a place as if it were killed.</summary>
    public static async Task<MigrationPair> StartProcessesAsync(string fault) =>
        await PrepareAsync(new MigrationPair(await TestHome.StartProcessAsync(fault), await TestHome.StartProcessAsync(fault)));

    public Task<MigrationResult> MigrateAsync(string domain, bool live = true, MigrationTarget? through = null) =>
        Source.Client.MigrateAsync(domain, new MigrateRequest(through ?? Address, live), null, Cancellation);

    /// <summary>Waits until one side runs the domain and the other has nothing of it.</summary>
    /// <returns>The side.</returns>
    public async Task<TestHome> WaitForOneAsync(string domain)
    {
        while (true)
        {
            DomainStates? here = await StateAsync(Source, domain);
            DomainStates? there = await StateAsync(Target, domain);
            Assert.False(here is DomainStates.Blocked && there is DomainStates.Blocked, "both sides run the domain");
            if (here is null && there is DomainStates.Blocked)
            {
                return Target;
            }

            if (here is DomainStates.Blocked && there is null)
            {
                return Source;
            }

            await Task.Delay(20, Cancellation);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Source.DisposeAsync();
        await Target.DisposeAsync();
    }

    private static async Task<MigrationPair> PrepareAsync(MigrationPair pair)
    {
        await pair.Target.Client.ListenForMigrationsAsync("127.0.0.1:0", Cancellation);
        MigrationSettings there = await pair.Target.Client.GetMigrationSettingsAsync(Cancellation);
        MigrationSettings here = await pair.Source.Client.GetMigrationSettingsAsync(Cancellation);
        pair.Port = int.Parse(there.Listen!.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);
        await pair.Source.Client.TrustAsync(new TrustedPeer(there.Fingerprint, "target"), Cancellation);
        await pair.Target.Client.TrustAsync(new TrustedPeer(here.Fingerprint, "source"), Cancellation);
        return pair;
    }

    private static async Task<DomainStates?> StateAsync(TestHome home, string domain) =>
        (await home.Client.ListAsync(Cancellation)).FirstOrDefault(one => one.Name == domain)?.State;
}
