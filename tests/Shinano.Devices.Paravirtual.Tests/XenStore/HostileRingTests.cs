using Shinano.Devices.Paravirtual.XenStore;
using Shinano.Fuzzing;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.Tests.XenStore;

/// <summary>A guest that writes garbage over its ring while it is served: the back end goes on, and ends when it is told to. docs/fuzzing.md.</summary>
public sealed class HostileRingTests
{
    /// <summary>Words of the page in which nonsense does most.</summary>
    private static readonly int[] StoreWords = [2048, 2052, 2056, 2060, 2064, 2068, 2072];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_store_survives_it()
    {
        FuzzRun run = FuzzRun.Begin(least: 3);
        while (run.Next())
        {
            await RoundAsync(run);
        }
    }

    private static async Task RoundAsync(FuzzRun run)
    {
        using RingPage page = new();
        Relay relay = new();
        XenStoreRingPump pump = new(page.Memory, RingPage.Frame, () => { }, _ => relay);
        using CancellationTokenSource stopAnswers = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task answers = AnswerForEverAsync(pump, stopAnswers.Token);
        await Task.Run(() => page.Scribble(run.Random, StoreWords, pump.GuestNotified), Cancellation);
        await stopAnswers.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answers);
        await pump.DisposeAsync();
        Assert.True(relay.Disposed, run.Where);
    }

    private static async Task AnswerForEverAsync(XenStoreRingPump pump, CancellationToken cancellation)
    {
        XenStorePacket packet = XenStorePacket.Create(XenStoreOperation.Read, 1, 0, new byte[500]);
        while (true)
        {
            await pump.DeliverAsync(packet, cancellation);
        }
    }

    /// <summary>Takes everything.</summary>
    private sealed class Relay : IXenStoreRelay
    {
        public bool GuestBrokeProtocol => false;

        public bool Disposed { get; private set; }

        public int Submit(ReadOnlySpan<byte> bytes) => bytes.Length;

        public Task<RingRelayState> QuiesceAsync(CancellationToken cancellation) => Task.FromResult(RingRelayState.New);

        public Task ResetAsync() => Task.CompletedTask;

        public ValueTask DisposeAsync()
        {
            Disposed = true;
            return ValueTask.CompletedTask;
        }
    }
}
