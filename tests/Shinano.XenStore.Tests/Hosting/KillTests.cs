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
                int found = int.Parse((await client.TryReadStringAsync(path, cancellation: Cancellation))!);
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
                        await own.WriteAsync(path, $"{value}", cancellation: Cancellation);
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
