using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>A domain process's second connection: what its back ends may do, and that everything else is refused.</summary>
public sealed class BackEndTests
{
    private const string Device = "/local/domain/0/backend/vbd/7/51712";
    private static readonly RelayToken Token = RelayToken.Create();
    private static readonly DomainId Domain = new(7);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Back_ends_write_below_their_own_devices_and_read_their_front_ends()
    {
        await using ServerFixture fixture = await StartAsync();
        await using XenStoreClient client = await ConnectAsync(fixture);
        await client.WriteAsync($"{Device}/state", "2", 0, Cancellation);
        await client.WriteAsync($"{Device}/a/b", "3", 0, Cancellation);
        await client.RemoveAsync($"{Device}/a", 0, Cancellation);
        Assert.Equal("1", await client.TryReadStringAsync("/local/domain/7/device/vbd/51712/state", 0, Cancellation));
        Assert.Equal(["51712"], await client.ListAsync("/local/domain/0/backend/vbd/7", 0, Cancellation));
        await client.WatchAsync("/local/domain/7/device/vbd/51712/state", "t", Cancellation);
        Assert.Equal("t", (await client.Events.ReadAsync(Cancellation)).Token);
        Assert.Equal("2", fixture.Server.Store.Nodes.TryReadString($"{Device}/state"));
        Assert.Null(fixture.Server.Store.Nodes.TryReadString($"{Device}/a"));
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/local/domain/0/name")]
    [InlineData("/local/domain/7/name")]
    [InlineData("/local/domain/7/device/vbd/51712/state")]
    [InlineData("/local/domain/7/devices/x")]
    [InlineData("/local/domain/8/device/vbd/51712/state")]
    [InlineData("/local/domain/0/backend/vbd/8/51712/state")]
    [InlineData("/local/domain/0/backend/vbd/70/51712/state")]
    [InlineData("/local/domain/0/backend/vbd/7")]
    [InlineData("/local/domain/0/backend/vbd/7/51712")]
    [InlineData("/local/domain/0/backend/vbd/7/51728/state")]
    [InlineData("/local/domain/0/backend/vif/7/0/state")]
    [InlineData("/local/domain/0/backend//7/51712/state")]
    [InlineData("/local/domain/0/backend/vbd/7/51712/../../8/51712/state")]
    [InlineData("backend/vbd/8/51712/state")]
    [InlineData("/vm")]
    [InlineData("@releaseDomain")]
    public async Task They_write_and_remove_nothing_else(string path)
    {
        await using ServerFixture fixture = await StartAsync();
        await using XenStoreClient client = await ConnectAsync(fixture);
        await RefusedAsync(() => client.WriteAsync(path, "x", 0, Cancellation));
        await RefusedAsync(() => client.RemoveAsync(path, 0, Cancellation));
    }

    [Theory]
    [InlineData("/local/domain/0/name")]
    [InlineData("/local/domain/7/name")]
    [InlineData("/local/domain/7/console/tty")]
    [InlineData("/local/domain/8/device/vbd/51712/state")]
    [InlineData("/local/domain/0/backend/vbd/8/51712/params")]
    [InlineData("/local/domain/0/backend")]
    [InlineData("@introduceDomain")]
    public async Task They_read_and_watch_nothing_else(string path)
    {
        await using ServerFixture fixture = await StartAsync();
        await using XenStoreClient client = await ConnectAsync(fixture);
        await RefusedAsync(() => client.ReadAsync(path, 0, Cancellation));
        await RefusedAsync(() => client.ListAsync(path, 0, Cancellation));
        await RefusedAsync(() => client.WatchAsync(path, "t", Cancellation));
    }

    [Fact]
    public async Task They_have_no_other_requests()
    {
        await using ServerFixture fixture = await StartAsync();
        await using XenStoreClient client = await ConnectAsync(fixture);
        await RefusedAsync(() => client.MakeDirectoryAsync($"{Device}/d", 0, Cancellation));
        await RefusedAsync(() => client.StartTransactionAsync(Cancellation));
        await RefusedAsync(() => client.SetPermissionsAsync(Device, [new NodePermission(Domain, NodeAccess.ReadWrite)], 0, Cancellation));
        await RefusedAsync(() => client.GetPermissionsAsync(Device, 0, Cancellation));
        await RefusedAsync(() => client.ReleaseAsync(new DomainId(8), Cancellation));
        await RefusedAsync(() => client.IntroduceAsync(new DomainId(9), 1, 1, Cancellation));
        await RefusedAsync(() => client.RequestAsync(XenStoreOperation.Control, 0, PayloadWriter.Strings("check"), "", Cancellation));
        await RefusedAsync(() => client.RequestAsync(XenStoreOperation.SetTarget, 0, PayloadWriter.Strings("7", "8"), "", Cancellation));
    }

    [Fact]
    public async Task Their_nodes_are_bounded()
    {
        await using ServerFixture fixture = await StartAsync();
        await using XenStoreClient client = await ConnectAsync(fixture);
        int written = 0;
        XenStoreException refused = await Assert.ThrowsAsync<XenStoreException>(async () =>
        {
            for (; written < 1000; written++)
            {
                await client.WriteAsync($"{Device}/n{written}", "", 0, Cancellation);
            }
        });
        Assert.Equal(XenStoreError.NoSpace, refused.Error);
        Assert.InRange(written, 100, 256);
        refused = await Assert.ThrowsAsync<XenStoreException>(() => client.WriteAsync($"{Device}/state", new string('x', 3000), 0, Cancellation));
        Assert.Equal(XenStoreError.NoSpace, refused.Error);
    }

    [Fact]
    public async Task A_wrong_token_is_refused_and_a_released_domain_ends_the_connection()
    {
        await using ServerFixture fixture = await StartAsync();
        await Assert.ThrowsAsync<IOException>(() =>
            XenStoreClient.ConnectBackEndAsync(fixture.Paths.XenStoreRelaySocket, Domain, RelayToken.Create(), Cancellation));
        await using XenStoreClient client = await ConnectAsync(fixture);
        fixture.Server.Store.ReleaseDomain(Domain);
        IOException ended = await Assert.ThrowsAnyAsync<IOException>(() => client.WriteAsync($"{Device}/state", "2", 0, Cancellation));
        Assert.IsNotType<XenStoreException>(ended);
    }

    [Fact]
    public async Task Requests_and_watches_survive_a_restart_of_the_server()
    {
        await using ServerFixture fixture = await StartAsync();
        await using BackEndStore store = new(fixture.Paths.XenStoreRelaySocket, Domain, Token);
        using SemaphoreSlim fired = new(0);
        using IDisposable watch = await store.WatchAsync("/local/domain/7/device/vbd/51712/state", () => fired.Release(), Cancellation);
        await fired.WaitAsync(Cancellation);
        await fixture.RestartAsync();
        Task write = store.WriteAsync($"{Device}/state", "4", Cancellation);
        fixture.Server.Store.BindRelay(Domain, Token);
        await write;
        await fired.WaitAsync(Cancellation);
        fixture.Server.Store.Nodes.Write("/local/domain/7/device/vbd/51712/state", "4");
        await fired.WaitAsync(Cancellation);
        Assert.Equal("4", await store.TryReadAsync("/local/domain/7/device/vbd/51712/state", Cancellation));
    }

    private static async Task RefusedAsync(Func<Task> request)
    {
        XenStoreException refused = await Assert.ThrowsAsync<XenStoreException>(request);

        // What is no path at all is told so.
        Assert.True(refused.Error is XenStoreError.AccessDenied or XenStoreError.Invalid, $"refused with {refused.Error}");
    }

    private static Task<XenStoreClient> ConnectAsync(ServerFixture fixture) =>
        XenStoreClient.ConnectBackEndAsync(fixture.Paths.XenStoreRelaySocket, Domain, Token, Cancellation);

    private static async Task<ServerFixture> StartAsync()
    {
        ServerFixture fixture = await ServerFixture.StartAsync();
        IXenStoreNodes nodes = fixture.Server.Store.Nodes;
        foreach (string path in (string[])["/vm", "/local/domain/0/name", "/local/domain/7/name", "/local/domain/7/console/tty",
            "/local/domain/7/device/vbd/51712/state", "/local/domain/8/device/vbd/51712/state", $"{Device}/state",
            "/local/domain/0/backend/vbd/8/51712/params", "/local/domain/0/backend/vbd/8/51712/state", "/local/domain/0/backend/vbd/70/51712/state"])
        {
            nodes.Write(path, "1");
        }

        fixture.Server.Store.IntroduceDomain(Domain, 1, 1);
        fixture.Server.Store.BindRelay(Domain, Token);
        return fixture;
    }
}
