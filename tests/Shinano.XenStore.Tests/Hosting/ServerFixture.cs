using Shinano.Linux;
using Shinano.XenStore.Client;
using Shinano.XenStore.Server;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>A server in this process, in a directory of its own.</summary>
internal sealed class ServerFixture : IAsyncDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("shinano-xs-");

    private ServerFixture() => Paths = ShinanoPaths.Under(directory.FullName);

    internal ShinanoPaths Paths { get; }

    internal XenStoreServer Server { get; private set; } = null!;

    internal static async Task<ServerFixture> StartAsync()
    {
        var fixture = new ServerFixture();
        fixture.Server = await fixture.StartServerAsync();
        return fixture;
    }

    internal Task<XenStoreClient> ConnectAsync() =>
        XenStoreClient.ConnectAsync(Paths.XenStoreServerSocket, TestContext.Current.CancellationToken);

    /// <summary>Stops the server and starts it again on what it left.</summary>
    internal async Task RestartAsync()
    {
        await Server.DisposeAsync();
        Server = await StartServerAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        directory.Delete(recursive: true);
    }

    private Task<XenStoreServer> StartServerAsync() =>
        XenStoreServer.StartAsync(XenStoreServerOptions.From(Paths), TestContext.Current.CancellationToken);
}
