using System.Collections.Concurrent;
using Shinano.Linux;
using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>What the server answered is there after it is killed, and a guest notices nothing.</summary>
public sealed class KillTests : IDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("shinano-kill-");
    private readonly ShinanoPaths paths;

    public KillTests() => paths = ShinanoPaths.Under(directory.FullName);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => directory.Delete(recursive: true);

    // Values of 3000 bytes make the journal be compacted while it is killed.
    [Fact]
    public async Task WhatWasAnsweredIsThereAfterTheServerIsKilled()
    {
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var answered = new ConcurrentDictionary<string, int>();
        for (int round = 0; round < 6; round++)
        {
            using ServerProcess server = await ServerProcess.StartAsync(paths);
            await using XenStoreClient client = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket, Cancellation);
            foreach ((string path, int value) in answered)
            {
                // A later write may have been carried out without its answer having arrived.
                int found = int.Parse((await client.TryReadStringAsync(path, cancellation: Cancellation))!.AsSpan().Trim());
                Assert.InRange(found, value, value + 1);
                answered[path] = found;
            }

            int killAfter = random.Next(1, 2000);
            int writes = 0;
            var kill = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Task[] writers = [.. Enumerable.Range(0, 4).Select(writer => WriteUntilKilledAsync(writer))];
            await kill.Task;
            await server.KillAsync();
            await Task.WhenAll(writers);

            async Task WriteUntilKilledAsync(int writer)
            {
                await using XenStoreClient own = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket, Cancellation);
                for (int i = 0; ; i++)
                {
                    string path = $"/kill/{writer}/{i % 7}";
                    int value = answered.GetValueOrDefault(path) + 1;
                    try
                    {
                        await own.WriteAsync(path, $"{value,3000}", cancellation: Cancellation);
                    }
                    catch (IOException)
                    {
                        return;
                    }

                    answered[path] = value;
                    if (Interlocked.Increment(ref writes) == killAfter)
                    {
                        kill.SetResult();
                    }
                }
            }
        }
    }

    [Fact]
    public async Task AFullDiskRefusesChangesAndLosesNone()
    {
        int kept = 0;
        using (ServerProcess server = await ServerProcess.StartOnSmallDiskAsync(paths, blocksOf512Bytes: 80))
        {
            await using XenStoreClient client = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket, Cancellation);
            XenStoreException? refused = null;
            while (refused is null)
            {
                refused = await Record.ExceptionAsync(
                    () => client.WriteAsync($"/full/{kept}", new string('v', 2000), cancellation: Cancellation)) as XenStoreException;
                kept++;
            }

            Assert.Equal(XenStoreError.InputOutput, refused.Error);
            kept--;
            Assert.InRange(kept, 5, 20);
            Assert.Equal(kept, (await client.ListAsync("/full", cancellation: Cancellation)).Count);

            // Overwriting needs room as well; removing makes it.
            await Assert.ThrowsAsync<XenStoreException>(
                () => client.WriteAsync("/full/0", new string('w', 2000), cancellation: Cancellation));
            await client.RemoveAsync("/full/1", cancellation: Cancellation);
            await client.RemoveAsync("/full/2", cancellation: Cancellation);
            await client.WriteAsync("/full/again", new string('w', 2000), cancellation: Cancellation);
            await server.KillAsync();
        }

        using ServerProcess next = await ServerProcess.StartAsync(paths);
        await using XenStoreClient after = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket, Cancellation);
        IReadOnlyList<string> names = await after.ListAsync("/full", cancellation: Cancellation);
        Assert.Equal([.. Enumerable.Range(0, kept).Where(i => i is not (1 or 2)).Select(i => $"{i}"), "again"], names);
        Assert.Equal(new string('v', 2000), await after.TryReadStringAsync("/full/0", cancellation: Cancellation));
    }

    [Fact]
    public async Task AGuestsRequestsAreAnsweredOverKillsOfTheServer()
    {
        ServerProcess server = await ServerProcess.StartAsync(paths, 7);
        try
        {
            await using (XenStoreClient zero = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket, Cancellation))
            {
                await zero.SetPermissionsAsync("/", [new NodePermission(DomainId.Zero, NodeAccess.ReadWrite)], cancellation: Cancellation);
            }

            await using var guest = new RelayTests.Guest(paths);
            Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Watch, "w|t|"));
            for (int round = 0; round < 3; round++)
            {
                Task<string>[] writes = [.. Enumerable.Range(0, 200).Select(i => guest.AskAsync(XenStoreOperation.Write, $"n/{i}|{round}"))];
                await Task.WhenAny(writes);
                await server.KillAsync();
                server.Dispose();
                server = await ServerProcess.StartAsync(paths, 7);
                Assert.All(await Task.WhenAll(writes), answer => Assert.Equal("OK|", answer));
                Assert.Equal($"{round}", await guest.AskAsync(XenStoreOperation.Read, "n/199|"));
            }

            Assert.Equal("EEXIST|", await guest.AskAsync(XenStoreOperation.Watch, "w|t|"));
        }
        finally
        {
            server.Dispose();
        }
    }
}
