using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.XenStore;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Devices.Paravirtual.Tests;

/// <summary>A guest that writes garbage over its rings while the back ends use them: they go on, and end when they are told to.</summary>
public sealed class GarbageTests
{
    private const int Rounds = 30_000;

    /// <summary>Words of the page in which nonsense does most.</summary>
    private static readonly int[] ConsoleIndices = [3072, 3076, 3080, 3084];

    private static readonly int[] StoreWords = [2048, 2052, 2056, 2060, 2064, 2068, 2072];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task The_console_survives_it(int seed)
    {
        using RingPage page = new();
        ConsoleBacklog backlog = new(4096);
        ConsoleBackEnd backEnd = new(page.Memory, RingPage.Frame, () => { }, backlog, null);
        using CancellationTokenSource stopInput = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task input = WriteForEverAsync(backEnd, stopInput.Token);
        await Task.Run(() => Scribble(page, ConsoleIndices, seed, backEnd.GuestNotified), Cancellation);
        await stopInput.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => input);
        await backEnd.DisposeAsync();
        Assert.False(await backlog.WaitAsync(backlog.Length, Cancellation));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task The_store_survives_it(int seed)
    {
        using RingPage page = new();
        Relay relay = new();
        XenStoreRingPump pump = new(page.Memory, RingPage.Frame, () => { }, _ => relay);
        using CancellationTokenSource stopAnswers = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task answers = AnswerForEverAsync(pump, stopAnswers.Token);
        await Task.Run(() => Scribble(page, StoreWords, seed, pump.GuestNotified), Cancellation);
        await stopAnswers.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answers);
        await pump.DisposeAsync();
        Assert.True(relay.Disposed);
    }

    private static void Scribble(RingPage page, int[] indices, int seed, Action notify)
    {
        Random random = new(seed);
        for (int i = 0; i < Rounds; i++)
        {
            ref uint word = ref page.Word(random.Next(4) == 0 ? random.Next(1024) * 4 : indices[random.Next(indices.Length)]);

            // Nonsense, and steps that make sense for a moment, so that the ring is in use between.
            word = random.Next(3) switch
            {
                0 => (uint)random.NextInt64(uint.MaxValue),
                1 => word + (uint)random.Next(2048),
                _ => page.Word(indices[random.Next(indices.Length)]),
            };
            notify();
        }
    }

    private static async Task WriteForEverAsync(ConsoleBackEnd backEnd, CancellationToken cancellation)
    {
        byte[] bytes = new byte[3000];
        while (true)
        {
            await backEnd.WriteInputAsync(bytes, cancellation);
            cancellation.ThrowIfCancellationRequested();
        }
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
