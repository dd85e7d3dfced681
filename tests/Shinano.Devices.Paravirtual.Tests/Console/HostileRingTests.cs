using System.Net.Sockets;
using System.Text;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.Tests.XenBus;
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

    [Fact]
    public async Task A_further_console_survives_random_bytes_and_nodes()
    {
        FuzzRun run = FuzzRun.Begin(least: 3);
        await using ConsoleRig rig = new();
        await rig.AttachAsync();
        using Socket viewer = await rig.ViewAsync();
        while (run.Next())
        {
            // A front end that goes through states as it likes, with rings and ports that are there or not, while all its pages are written over.
            Task nodes = Task.Run(() => PublishNonsense(rig, new Random(run.Random.Next())), Cancellation);
            Task input = viewer.SendAsync(new byte[3000], Cancellation).AsTask();
            RingPage.Scribble(rig.Guest.Memory.FrameMemory(FakeGuest.FirstFrame + ConsoleRig.Ring), run.Random, Indices, () => rig.Guest.Send?.Invoke());
            await nodes;

            // One that comes to its senses is served, and takes what was typed meanwhile.
            rig.Publish("state", "6");
            await rig.UntilAsync("6");
            rig.Guest.Page(ConsoleRig.Ring).Clear();
            rig.Publish("state", "1");
            await rig.UntilAsync("2");
            await rig.ConnectAsync();
            await input;
            await viewer.SendAsync("!"u8.ToArray(), Cancellation);
            while (!(await rig.HearAsync(1)).Contains('!', StringComparison.Ordinal))
            {
            }
        }

        Task seen = ReadToAsync(viewer, "sane");
        rig.Say("sane");
        await seen;
    }

    private static void PublishNonsense(ConsoleRig rig, Random random)
    {
        for (int i = 0; i < 2000; i++)
        {
            (string node, string? value) = random.Next(5) switch
            {
                0 => ("ring-ref", random.Next(3) == 0 ? $"{random.Next(80)}" : $"{ConsoleRig.Ring}"),
                1 => ("port", random.Next(3) == 0 ? $"{random.Next(12)}" : "4"),
                2 => (random.Next(2) == 0 ? "port" : "ring-ref", random.Next(2) == 0 ? null : "\u00ff-1"),
                _ => ("state", random.Next(9) == 0 ? "x" : $"{random.Next(8)}"),
            };
            rig.Publish(node, value);
        }
    }

    /// <summary>Reads until what was said ends with a word, whatever garbage is before it.</summary>
    private static async Task ReadToAsync(Socket viewer, string word)
    {
        byte[] bytes = new byte[4096];
        string tail = "";
        while (!tail.EndsWith(word, StringComparison.Ordinal))
        {
            int count = await viewer.ReceiveAsync(bytes, Cancellation);
            Assert.NotEqual(0, count);
            tail = (tail + Encoding.Latin1.GetString(bytes, 0, count))[^Math.Min(tail.Length + count, word.Length)..];
        }
    }

    private static async Task RoundAsync(FuzzRun run)
    {
        using RingPage page = new();
        ConsoleBacklog backlog = new(4096);
        ConsoleBackEnd backEnd = new(backlog, null);
        backEnd.Connect(new HeldFrame(page.Memory, RingPage.Frame), () => { });
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
