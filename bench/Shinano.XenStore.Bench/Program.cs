using System.Diagnostics;
using Shinano.Linux;
using Shinano.XenStore.Client;
using Shinano.XenStore.Server;

// Requests per second of the xenstore server, client and server in one process. Each line: the median of the rounds, and the range.
const int Rounds = 5;
TimeSpan roundTime = TimeSpan.FromSeconds(1);
DirectoryInfo directory = Directory.CreateTempSubdirectory("shinano-bench-");
try
{
    ShinanoPaths paths = ShinanoPaths.Under(directory.FullName);
    await using XenStoreServer server = await XenStoreServer.StartAsync(XenStoreServerOptions.From(paths));
    await using XenStoreClient client = await XenStoreClient.ConnectAsync(paths.XenStoreServerSocket);
    XenStoreClient[] four = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => XenStoreClient.ConnectAsync(paths.XenStoreServerSocket)));
    for (int i = 0; i < 500; i++)
    {
        server.Store.Nodes.Write($"/local/domain/{i % 20}/device/vbd/{i}/state", "4");
    }

    const string Node = "/local/domain/7/device/vbd/7/state";
    await MeasureAsync("read, one client, one at a time", () => client.ReadAsync(Node));
    await MeasureAsync("write, one client, one at a time", () => client.WriteAsync(Node, "4"));
    await MeasureAsync("transaction of read and write", async () =>
    {
        uint id = await client.StartTransactionAsync();
        await client.ReadAsync(Node, id);
        await client.WriteAsync(Node, "4", id);
        await client.EndTransactionAsync(id, commit: true);
    });
    await MeasureAsync("write, one client, 20 at once", () => Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.WriteAsync(Node, "4"))), 20);
    await MeasureAsync("write, four clients", () => Task.WhenAll(four.Select(own => own.WriteAsync(Node, "4"))), 4);
    await MeasureAsync("write, in process (journalled)", () =>
    {
        for (int i = 0; i < 100; i++)
        {
            server.Store.Nodes.Write(Node, "4");
        }

        return Task.CompletedTask;
    }, 100);

    foreach (XenStoreClient own in four)
    {
        await own.DisposeAsync();
    }
}
finally
{
    directory.Delete(recursive: true);
}

async Task MeasureAsync(string what, Func<Task> action, int requests = 1)
{
    var rates = new List<double>();
    for (int round = 0; round <= Rounds; round++)
    {
        var clock = Stopwatch.StartNew();
        int count = 0;
        while (clock.Elapsed < roundTime)
        {
            await action();
            count += requests;
        }

        // The first round warms up.
        if (round > 0)
        {
            rates.Add(count / clock.Elapsed.TotalSeconds);
        }
    }

    rates.Sort();
    Console.WriteLine($"{what,-34} {rates[rates.Count / 2],9:F0}/s   ({rates[0]:F0} to {rates[^1]:F0})");
}
