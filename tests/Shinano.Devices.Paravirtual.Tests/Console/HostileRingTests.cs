using Shinano.Devices.Paravirtual.Console;
using Shinano.Fuzzing;

namespace Shinano.Devices.Paravirtual.Tests.Console;

/// <summary>A guest that writes garbage over its ring while it is served: the back end goes on, and ends when it is told to. docs/fuzzing.md.</summary>
public sealed class HostileRingTests
{
    /// <summary>Words of the page in which nonsense does most.</summary>
    private static readonly int[] Indices = [3072, 3076, 3080, 3084];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_console_survives_random_bytes()
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
        ConsoleBacklog backlog = new(4096);
        ConsoleBackEnd backEnd = new(page.Memory, RingPage.Frame, () => { }, backlog, null);
        using CancellationTokenSource stopInput = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task input = WriteForEverAsync(backEnd, stopInput.Token);
        await Task.Run(() => page.Scribble(run.Random, Indices, backEnd.GuestNotified), Cancellation);
        await stopInput.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => input);

        // A guest that has come to its senses is heard.
        foreach (int index in Indices)
        {
            page.Word(index) = 0;
        }

        long before = backlog.Length;
        page.Put(1024, 2048, 3084, "sane"u8);
        backEnd.GuestNotified();
        while (backlog.Length < before + 4)
        {
            Assert.True(await backlog.WaitAsync(backlog.Length, Cancellation), run.Where);
        }

        await backEnd.DisposeAsync();
        Assert.False(await backlog.WaitAsync(backlog.Length, Cancellation), run.Where);
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
}
