using System.Net.Sockets;
using System.Text;
using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.XenStore.Tests.Hosting;

public sealed class ServerTests : IAsyncLifetime
{
    private ServerFixture fixture = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => fixture = await ServerFixture.StartAsync();

    public ValueTask DisposeAsync() => fixture.DisposeAsync();

    [Fact]
    public async Task AClientReadsWritesAndWatches()
    {
        await using XenStoreClient client = await fixture.ConnectAsync();
        await client.WatchAsync("/a", "t", Cancellation);
        Assert.Equal(new WatchEvent("/a", "t"), await client.Events.ReadAsync(Cancellation));
        await client.WriteAsync("/a/b", "value", cancellation: Cancellation);
        Assert.Equal(new WatchEvent("/a/b", "t"), await client.Events.ReadAsync(Cancellation));
        Assert.Equal("value", await client.TryReadStringAsync("/a/b", cancellation: Cancellation));
        Assert.Null(await client.TryReadStringAsync("/a/c", cancellation: Cancellation));
        Assert.Equal(["b"], await client.ListAsync("/a", cancellation: Cancellation));
        await client.SetPermissionsAsync("/a/b", [new NodePermission(new DomainId(3), NodeAccess.Read)], cancellation: Cancellation);
        Assert.Equal(
            [new NodePermission(new DomainId(3), NodeAccess.Read)], await client.GetPermissionsAsync("/a/b", cancellation: Cancellation));
        await client.RemoveAsync("/a", cancellation: Cancellation);
        XenStoreException missing = await Assert.ThrowsAsync<XenStoreException>(() => client.ReadAsync("/a/b", 0, Cancellation));
        Assert.Equal(XenStoreError.NotFound, missing.Error);
    }

    [Fact]
    public async Task LongListsAreRead()
    {
        string[] names = [.. Enumerable.Range(0, 1500).Select(i => $"node{i}")];
        fixture.Server.Store.Transact(nodes => Array.ForEach(names, name => nodes.Write("/long/" + name, "")));
        await using XenStoreClient client = await fixture.ConnectAsync();
        Assert.Equal(names, await client.ListAsync("/long", cancellation: Cancellation));
    }

    [Fact]
    public async Task TransactionsOfTwoClientsConflict()
    {
        await using XenStoreClient first = await fixture.ConnectAsync();
        await using XenStoreClient second = await fixture.ConnectAsync();
        uint one = await first.StartTransactionAsync(Cancellation);
        uint two = await second.StartTransactionAsync(Cancellation);
        await first.WriteAsync("/a", "1", one, Cancellation);
        await second.WriteAsync("/a", "2", two, Cancellation);
        Assert.True(await first.EndTransactionAsync(one, commit: true, Cancellation));
        Assert.False(await second.EndTransactionAsync(two, commit: true, Cancellation));
        Assert.Equal("1", await second.TryReadStringAsync("/a", cancellation: Cancellation));
    }

    [Fact]
    public async Task ManyRequestsAtOnceAreAllAnswered()
    {
        await using XenStoreClient client = await fixture.ConnectAsync();
        await Task.WhenAll(Enumerable.Range(0, 3000).Select(i => client.WriteAsync($"/many/{i % 100}", $"{i}", 0, Cancellation)));
        Assert.Equal(100, (await client.ListAsync("/many", cancellation: Cancellation)).Count);
    }

    [Fact]
    public async Task AClientThatBreaksTheProtocolIsDisconnectedAndTheOthersAreNot()
    {
        await using XenStoreClient other = await fixture.ConnectAsync();
        using Socket socket = await ConnectRawAsync(fixture.Paths.XenStoreServerSocket);
        byte[] header = new byte[XenStoreLimits.HeaderSize];
        new XenStoreHeader(XenStoreOperation.Read, 1, 0, 4097).Write(header);
        await socket.SendAsync(header, Cancellation);
        Assert.Equal(0, await socket.ReceiveAsync(new byte[1], Cancellation));
        await other.WriteAsync("/still", "here", cancellation: Cancellation);
    }

    [Fact]
    public async Task WatchesEndWithTheConnection()
    {
        XenStoreClient gone = await fixture.ConnectAsync();
        await gone.WatchAsync("/a", "t", Cancellation);
        await gone.DisposeAsync();
        await using XenStoreClient client = await fixture.ConnectAsync();
        await client.WriteAsync("/a", "1", cancellation: Cancellation);
        await Assert.ThrowsAsync<IOException>(() => gone.ReadAsync("/a", 0, Cancellation));
    }

    [Fact]
    public void SocketsAreTheOwnersOnly()
    {
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(Owner, File.GetUnixFileMode(fixture.Paths.XenStoreServerSocket));
        Assert.Equal(Owner, File.GetUnixFileMode(fixture.Paths.XenStoreRelaySocket));
        Assert.Equal(Owner, File.GetUnixFileMode(fixture.Paths.XenStoreSnoopSocket));
    }

    [Fact]
    public async Task TheStateOutlivesARestartAndSocketsAreRemovedAtTheEnd()
    {
        fixture.Server.Store.Nodes.Write("/a", "1");
        fixture.Server.Store.IntroduceDomain(new DomainId(4), 1, 1);
        await fixture.RestartAsync();
        Assert.Equal("1", fixture.Server.Store.Nodes.TryReadString("/a"));
        Assert.Equal([new DomainId(4)], fixture.Server.Store.IntroducedDomains);
        await fixture.Server.DisposeAsync();
        Assert.False(File.Exists(fixture.Paths.XenStoreServerSocket));
        await fixture.RestartAsync();
    }

    [Fact]
    public async Task SnoopShowsRequestsInTheClassicForm()
    {
        using Socket socket = await ConnectRawAsync(fixture.Paths.XenStoreSnoopSocket);
        using var lines = new StreamReader(new NetworkStream(socket), Encoding.Latin1);
        await using XenStoreClient client = await fixture.ConnectAsync();

        // A connection is accepted some time after it is made: ask until the listener is shown something.
        Task<string?> first = lines.ReadLineAsync(Cancellation).AsTask();
        string? line;
        while (!first.IsCompleted)
        {
            await client.ReadAsync("/", 0, Cancellation);
        }

        Assert.NotNull(await first);
        uint id = await client.StartTransactionAsync(Cancellation);
        await client.WriteAsync("/local/domain/24/console/port", "3", id, Cancellation);
        await client.ReadAsync("/local/domain/24/console/port", id, Cancellation);
        await client.EndTransactionAsync(id, commit: true, Cancellation);
        await client.TryReadStringAsync("/nothing", cancellation: Cancellation);
        fixture.Server.Store.Nodes.Write("/x", "a\nb");

        string me = $"{Environment.ProcessId,-8}";
        foreach (string expected in (string[])
            [
                $"0    {me} 0      XS_TRANSACTION_START:  -> {id}",
                $"0    {me} {id,-6} XS_WRITE: /local/domain/24/console/port 3 -> OK",
                $"0    {me} {id,-6} XS_READ: /local/domain/24/console/port -> 3",
                $"0    {me} {id,-6} XS_TRANSACTION_END: T -> OK",
                $"0    {me} 0      XS_READ: /nothing -> ENOENT",
                $"0    {me} 0      XS_WRITE: /x a\\nb -> OK",
            ])
        {
            while ((line = await lines.ReadLineAsync(Cancellation)) != expected)
            {
                Assert.StartsWith($"0    {me} 0      XS_READ: / -> ", line);
            }
        }
    }

    [Fact]
    public async Task TheDaemonsOwnStoreDoesWhatAClientSees()
    {
        LocalStore store = fixture.Server.Store;
        await using XenStoreClient client = await fixture.ConnectAsync();
        using StoreWatch watch = store.Watch("/a");
        Assert.Equal("/a", await watch.Events.ReadAsync(Cancellation));
        await client.WriteAsync("/a/b", "1", cancellation: Cancellation);
        Assert.Equal("/a/b", await watch.Events.ReadAsync(Cancellation));
        Assert.Equal("1", store.Nodes.TryReadString("/a/b"));
        store.Nodes.Write("/a/c", "2", new NodePermission(new DomainId(3), NodeAccess.None));
        Assert.Equal(["b", "c"], store.Nodes.TryList("/a"));
        Assert.Equal(["n3"], store.Nodes.TryGetPermissions("/a/c")!.Select(permission => permission.ToString()));
        Assert.Null(store.Nodes.TryList("/q"));
        Assert.Null(store.Nodes.TryRead("/q/q"));
        store.Nodes.Remove("/q/q");
        Assert.Throws<XenStoreException>(() => store.Nodes.Write("not absolute?", "x"));
        Assert.Throws<XenStoreException>(() => store.Transact(nodes =>
        {
            nodes.Write("/t", "1");
            nodes.Write("/bad path", "1");
        }));
        Assert.Null(store.Nodes.TryRead("/t"));
    }

    [Fact]
    public async Task AFloodOfEventsIsKeptSmallAndTellsToLookAgain()
    {
        LocalStore store = fixture.Server.Store;
        using StoreWatch watch = store.Watch("/flood");
        for (int i = 0; i < 10_000; i++)
        {
            store.Nodes.Write("/flood/same", "1");
            store.Nodes.Write($"/flood/{i}", "1");
            store.Nodes.Remove($"/flood/{i}");
        }

        watch.Dispose();
        var events = new List<string>();
        await foreach (string path in watch.Events.ReadAllAsync(Cancellation))
        {
            events.Add(path);
        }

        Assert.InRange(events.Count, 1, StoreWatchQueue.MaximumPending);
        Assert.Equal("/flood", events[0]);
        Assert.Equal(events.Count, events.Distinct().Count());
        Assert.Contains("/flood/9999", events);
    }

    [Fact]
    public async Task ATransactionOfTheDaemonIsRunAgainWhenItConflicts()
    {
        LocalStore store = fixture.Server.Store;
        await using XenStoreClient client = await fixture.ConnectAsync();
        int runs = 0;
        store.Nodes.Write("/count", "1");
        store.Transact(nodes =>
        {
            string seen = nodes.TryReadString("/count")!;
            if (runs++ == 0)
            {
                store.Nodes.Write("/count", "10");
            }

            nodes.Write("/count", seen + "0");
        });
        Assert.Equal(2, runs);
        Assert.Equal("100", await client.TryReadStringAsync("/count", cancellation: Cancellation));
    }

    [Fact]
    public async Task DomainsComeAndGo()
    {
        LocalStore store = fixture.Server.Store;
        using StoreWatch released = store.Watch("@releaseDomain");
        await released.Events.ReadAsync(Cancellation);
        store.IntroduceDomain(new DomainId(5), 1, 1);
        store.NotifyDomainShutdown(new DomainId(5));
        store.NotifyDomainShutdown(new DomainId(5));
        Assert.Equal("@releaseDomain", await released.Events.ReadAsync(Cancellation));
        Assert.False(released.Events.TryRead(out _));
        store.ResumeDomain(new DomainId(5));
        store.NotifyDomainShutdown(new DomainId(5));
        Assert.Equal("@releaseDomain", await released.Events.ReadAsync(Cancellation));
        store.ReleaseDomain(new DomainId(5));
        store.ReleaseDomain(new DomainId(5));
        Assert.Equal("@releaseDomain", await released.Events.ReadAsync(Cancellation));
        released.Dispose();
        Assert.False(await released.Events.WaitToReadAsync(Cancellation));
        Assert.False(store.IsIntroduced(new DomainId(5)));
    }

    internal static async Task<Socket> ConnectRawAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), Cancellation);
        return socket;
    }
}
