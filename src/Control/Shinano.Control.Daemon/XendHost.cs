using System.Globalization;
using System.Net.Sockets;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Forking;
using Shinano.Control.Daemon.Http;
using Shinano.Control.Daemon.Migration;
using Shinano.Control.Daemon.Networks;
using Shinano.Control.Daemon.Saving;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Control.Daemon.Snapshots;
using Shinano.Linux;
using Shinano.Storage.Pools;
using Shinano.XenStore.Server;

namespace Shinano.Control.Daemon;

/// <summary>Puts xend together. One per set of directories: a lock file says so, and goes with the process however it ends.</summary>
internal sealed class XendHost : IAsyncDisposable
{
    private readonly FileStream _lock;
    private readonly WebApplication _app;
    private readonly XenStoreServer _store;
    private readonly string? _ownSocket;

    private XendHost(FileStream heldLock, XenStoreServer store, WebApplication app, string? ownSocket)
    {
        _lock = heldLock;
        _store = store;
        _app = app;
        _ownSocket = ownSocket;
    }

    public IServiceProvider Services => _app.Services;

    /// <summary>
    /// Starts a xend that serves and has adopted what ran. Null when another one holds the lock.
    /// </summary>
    public static async Task<XendHost?> StartAsync(ShinanoPaths paths, CancellationToken cancellationToken)
    {
        paths.CreateAll();
        if (TryLock(Path.Combine(paths.RunDirectory, "xend.lock")) is not { } heldLock)
        {
            return null;
        }

        XendLog log = new(Path.Combine(paths.LogDirectory, "xend.log"));
        try
        {
            XenStoreServer store = await XenStoreServer.StartAsync(
                XenStoreServerOptions.From(paths) with { Report = message => log.Write("xenstore", message) }, cancellationToken);
            ulong? socket = IsSocketActivated() ? null : BindPrivately(paths.XendSocket);
            WebApplication app = Build(paths, log, store.Store, socket);
            await app.Services.GetRequiredService<DomainAdoption>().RunAsync(cancellationToken);
            DomainRegistry registry = app.Services.GetRequiredService<DomainRegistry>();
            app.Services.GetRequiredService<DomainNetworks>().BeginRestore(() => [.. registry.All.Select(entry => entry.Id)]);

            // Only now: what halves an earlier xend left is known, and gone.
            app.Services.GetRequiredService<MigrationListener>().Start();

            // Served only now: the first answer already knows every domain.
            await app.StartAsync(cancellationToken);
            return new XendHost(heldLock, store, app, socket is null ? null : paths.XendSocket);
        }
        catch
        {
            await heldLock.DisposeAsync();
            throw;
        }
    }

    /// <summary>Keeps so many domain processes started that have no domain yet.</summary>
    public void KeepWarm(int count) => Services.GetRequiredService<WarmProcesses>().Begin(count);

    public Task WaitForShutdownAsync(CancellationToken cancellationToken) => _app.WaitForShutdownAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
        await _store.DisposeAsync();
        if (_ownSocket is not null)
        {
            File.Delete(_ownSocket);
        }

        await _lock.DisposeAsync();
    }

    private static WebApplication Build(ShinanoPaths paths, XendLog log, LocalStore store, ulong? socket)
    {
        // The slim builder reads no appsettings.json of whatever directory we were started in.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;
            if (socket is not { } descriptor)
            {
                options.UseSystemd(listen => listen.Use(next => context => PeerCheck.InvokeAsync(context, next)));
            }
            else
            {
                options.ListenHandle(descriptor, listen => listen.Use(next => context => PeerCheck.InvokeAsync(context, next)));
            }
        });
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(5));
        builder.Services.AddRoutingCore();
        builder.Services.AddSystemd();
        builder.Logging.AddProvider(log);
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Services.AddSingleton(paths);
        builder.Services.AddSingleton(store);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<HostFacts>();
        builder.Services.AddSingleton<DomainLogs>();
        builder.Services.AddSingleton<DeviceTree>();
        builder.Services.AddSingleton<StoreSnapshot>();
        builder.Services.AddSingleton<DomainSaves>();
        builder.Services.AddSingleton<SnapshotFolders>();
        builder.Services.AddSingleton<SnapshotVolumes>();
        builder.Services.AddSingleton<SnapshotRemoval>();
        builder.Services.AddSingleton<SnapshotReverts>();
        builder.Services.AddSingleton<DomainSnapshots>();
        builder.Services.AddSingleton<DomainForks>();
        builder.Services.AddSingleton<VolumePools>();
        builder.Services.AddSingleton<IVolumeResolver, PoolVolumes>();
        builder.Services.AddSingleton<DiskPlanner>();
        builder.Services.AddSingleton<HotplugEvents>();
        builder.Services.AddSingleton<SwitchConnection>();
        builder.Services.AddSingleton<VnicRecords>();
        builder.Services.AddSingleton<PasstProgram>();
        builder.Services.AddSingleton<DomainNetworks>();
        builder.Services.AddSingleton<NetworkOperations>();
        builder.Services.AddSingleton<BootLoaders>();
        builder.Services.AddSingleton<DomainDevices>();
        builder.Services.AddSingleton<DiskOperations>();
        builder.Services.AddSingleton<DomainTree>();
        builder.Services.AddSingleton<DomainRegistry>();
        builder.Services.AddSingleton<WarmProcesses>();
        builder.Services.AddSingleton<DomainStarter>();
        builder.Services.AddSingleton<DomainLifecycle>();
        builder.Services.AddSingleton<DomainAdoption>();
        builder.Services.AddSingleton<ManagedDomains>();
        builder.Services.AddSingleton<DomainCatalog>();
        builder.Services.AddSingleton<DomainOperations>();
        builder.Services.AddSingleton<SchedulingOperations>();
        builder.Services.AddSingleton<CreationEndpoint>();
        builder.Services.AddSingleton<PeerKeys>();
        builder.Services.AddSingleton<TransferJournal>();
        builder.Services.AddSingleton<MigrationDialler>();
        builder.Services.AddSingleton<MigrationListener>();
        builder.Services.AddSingleton<MigrationEndpoint>();
        builder.Services.AddSingleton<Arrivals>();
        builder.Services.AddSingleton<Departures>();
        builder.Services.AddSingleton<HandOvers>();
        builder.Services.AddHostedService<CpuShares>();
        WebApplication app = builder.Build();
        ILogger logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Xend");
        app.Use((context, next) => FailureResults.InvokeAsync(context, next, logger));
        app.UseRouting();
        XendApi.Map(app);
        return app;
    }

    /// <summary>Binds the socket and gives it its mode before anybody can connect.</summary>
    private static ulong BindPrivately(string path)
    {
        File.Delete(ShinanoPaths.PrepareSocketPath(path));
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        nint descriptor = socket.Handle;

        // The descriptor is Kestrel's now. Disposing or finalising the object would remove the socket's file.
        socket.SafeHandle.SetHandleAsInvalid();
        GC.SuppressFinalize(socket);
        return (ulong)descriptor;
    }

    /// <summary>sd_listen_fds(3): LISTEN_PID names us.</summary>
    private static bool IsSocketActivated() =>
        Environment.GetEnvironmentVariable("LISTEN_PID") == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);

    private static FileStream? TryLock(string path)
    {
        try
        {
            // FileShare.None is flock(2): gone with the process, kill -9 included.
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException))
        {
            return null;
        }
    }
}
