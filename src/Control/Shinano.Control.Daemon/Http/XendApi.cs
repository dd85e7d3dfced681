using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Forking;
using Shinano.Control.Daemon.Migration;
using Shinano.Control.Daemon.Networks;
using Shinano.Control.Daemon.Saving;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Control.Daemon.Snapshots;

namespace Shinano.Control.Daemon.Http;

/// <summary>The routes. Each is one line of translation; the work is elsewhere.</summary>
internal static class XendApi
{
    public static void Map(WebApplication app)
    {
        RouteGroupBuilder api = app.MapGroup("/v1");
        MapDomains(api);
        MapOperations(api);
        MapSnapshots(api);
        MapVolumes(api);
        MapVnics(api);
        MapManaged(api);
        MapMigration(api);
        api.MapGet("/host", (HostFacts host) => Json(host.Describe()));
        api.MapGet("/dmesg", async (DomainOperations operations, string? domain, bool? clear, CancellationToken token) =>
            Results.Text(await operations.ReadHypervisorLogAsync(domain, clear ?? false, token)));
        XendProgram program = DescribeProgram();
        api.MapGet("/program", () => Json(program));
        api.MapPost("/stop", (IHostApplicationLifetime lifetime, DomainRegistry registry, bool? idle) =>
        {
            if (idle == true && registry.All.Count > 0)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, "xend has domains");
            }

            lifetime.StopApplication();
        });
    }

    // At the start: a later build of the files is another program.
    private static XendProgram DescribeProgram()
    {
        string path = typeof(XendApi).Assembly.Location;
        return new XendProgram(Environment.ProcessId, path, BuildIdentity.Of(path), DomainControlChannel.ProtocolVersion);
    }

    private static void MapDomains(RouteGroupBuilder api)
    {
        api.MapGet("/domains", async (DomainCatalog catalog, CancellationToken token) => Json(await catalog.ListAsync(token)));
        api.MapGet("/domains/{domain}", async (DomainCatalog catalog, string domain, CancellationToken token) =>
            Json(await catalog.DescribeAsync(domain, token)));
        api.MapPost("/domains", async (HttpContext context, CreationEndpoint creation) =>
            await creation.CreateAsync(context, await ReadAsync<ConfigurationRequest>(context)));
        api.MapPost("/restore", async (HttpContext context, CreationEndpoint creation) =>
            await creation.RestoreAsync(context, await ReadAsync<RestoreRequest>(context)));
        api.MapGet("/outcomes/{id:int}", async (DomainRegistry registry, IHostApplicationLifetime lifetime, int id, CancellationToken token) =>
        {
            // Whoever waits here must not hold up the end of xend.
            using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token, lifetime.ApplicationStopping);
            Task<DomainOutcome> outcome = registry.OutcomeOf(id)
                ?? throw new DomainFailureException(DomainFailureCode.NoSuchDomain, $"nothing is known about a domain with id {id}");
            return Json(await outcome.WaitAsync(end.Token));
        });
    }

    private static void MapOperations(RouteGroupBuilder api)
    {
        RouteGroupBuilder domain = api.MapGroup("/domains/{domain}");
        domain.MapPost("/pause", (DomainOperations o, string domain, CancellationToken token) => o.PauseAsync(domain, token));
        domain.MapPost("/unpause", (DomainOperations o, string domain, CancellationToken token) => o.UnpauseAsync(domain, token));

        // Half a destruction helps nobody: it goes on when the client does not wait.
        domain.MapPost("/destroy", (DomainOperations o, string domain) => o.DestroyAsync(domain, CancellationToken.None));
        domain.MapPost("/shutdown", async (HttpContext context, DomainOperations o, string domain) =>
            o.Shutdown(domain, (await ReadAsync<ShutdownRequest>(context)).Reason));
        domain.MapPost("/rename", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            await o.RenameAsync(domain, (await ReadAsync<RenameRequest>(context)).Name, token));
        domain.MapPost("/memory", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            await o.SetMemoryAsync(domain, (await ReadAsync<MemoryRequest>(context)).Bytes, token));
        domain.MapPost("/max-memory", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            await o.SetMaximumMemoryAsync(domain, (await ReadAsync<MemoryRequest>(context)).Bytes, token));
        domain.MapPost("/vcpus", async (HttpContext context, DomainOperations o, string domain) =>
            o.SetVcpus(domain, (await ReadAsync<VcpuRequest>(context)).Vcpus));
        domain.MapPost("/sched-credit", async (HttpContext context, DomainOperations o, SchedulingOperations scheduling, string domain, CancellationToken token) =>
            await scheduling.SetCreditAsync(o.FindRunning(domain), await ReadAsync<CreditRequest>(context), token));
        domain.MapPost("/vcpu-pin", async (HttpContext context, DomainOperations o, SchedulingOperations scheduling, string domain, CancellationToken token) =>
            await scheduling.PinAsync(o.FindRunning(domain), await ReadAsync<PinRequest>(context), token));
        domain.MapPost("/sysrq", async (HttpContext context, DomainOperations o, string domain) =>
            o.SendSysRq(domain, (await ReadAsync<KeyRequest>(context)).Keys));
        domain.MapPost("/debug-keys", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            await o.SendDebugKeysAsync(domain, (await ReadAsync<KeyRequest>(context)).Keys, token));
        domain.MapPost("/trigger", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            await o.TriggerAsync(domain, await ReadAsync<TriggerRequest>(context), token));
        domain.MapPost("/dump-core", async (HttpContext context, DomainOperations o, string domain, CancellationToken token) =>
            Json(await o.DumpCoreAsync(domain, await ReadAsync<DumpRequest>(context), token)));
        domain.MapPost("/save", async (HttpContext context, DomainSaves saves, string domain, CancellationToken token) =>
            Json(await saves.SaveAsync(domain, await ReadAsync<SaveRequest>(context), token)));
        domain.MapPost("/fork", async (HttpContext context, DomainForks forks, string domain, CancellationToken token) =>
            Json(await forks.ForkAsync(domain, await ReadAsync<ForkRequest>(context), token)));
        domain.MapGet("/block", async (DomainOperations o, DiskOperations disks, string domain, CancellationToken token) =>
            Json(await disks.ListAsync(o.FindRunning(domain), token)));
        domain.MapPost("/block-attach", async (HttpContext context, DomainOperations o, DiskOperations disks, string domain, CancellationToken token) =>
            await disks.AttachAsync(o.FindRunning(domain), await ReadAsync<DiskRequest>(context), token));
        domain.MapPost("/block-detach", async (HttpContext context, DomainOperations o, DiskOperations disks, string domain, CancellationToken token) =>
            await disks.DetachAsync(o.FindRunning(domain), await ReadAsync<DetachRequest>(context), token));
        domain.MapPost("/block-configure", async (HttpContext context, DomainOperations o, DiskOperations disks, string domain, CancellationToken token) =>
            await disks.ConfigureAsync(o.FindRunning(domain), await ReadAsync<DiskRequest>(context), token));
        domain.MapGet("/network", async (DomainOperations o, NetworkOperations networks, string domain, CancellationToken token) =>
            Json(await networks.ListAsync(o.FindRunning(domain), token)));
        domain.MapPost("/network-attach", async (HttpContext context, DomainOperations o, NetworkOperations networks, string domain, CancellationToken token) =>
            await networks.AttachAsync(o.FindRunning(domain), await ReadAsync<VifRequest>(context), token));
        domain.MapPost("/network-detach", async (HttpContext context, DomainOperations o, NetworkOperations networks, string domain, CancellationToken token) =>
            await networks.DetachAsync(o.FindRunning(domain), await ReadAsync<DetachRequest>(context), token));
        domain.MapGet("/counters", async (DomainOperations o, string domain, CancellationToken token) =>
            Json(await o.ReadCountersAsync(domain, token)));
        domain.MapGet("/performance", async (DomainOperations o, string domain, CancellationToken token) =>
            Json(await o.ReadPerformanceAsync(domain, token)));
    }

    private static void MapSnapshots(RouteGroupBuilder api)
    {
        RouteGroupBuilder snapshots = api.MapGroup("/domains/{domain}/snapshots");
        snapshots.MapGet("", (DomainSnapshots s, string domain) => Json(s.List(domain)));
        snapshots.MapPost("", async (HttpContext context, DomainSnapshots s, string domain, CancellationToken token) =>
            Json(await s.CreateAsync(domain, await ReadAsync<DomainSnapshotRequest>(context), token)));
        snapshots.MapPost("/{name}/revert", async (HttpContext context, CreationEndpoint creation, string domain, string name) =>
            await creation.RevertAsync(context, domain, name, await ReadAsync<RevertRequest>(context)));
        snapshots.MapDelete("/{name}", (DomainSnapshots s, string domain, string name, bool? metadata) =>
            s.DeleteAsync(domain, name, metadata ?? false, CancellationToken.None));
    }

    private static void MapVolumes(RouteGroupBuilder api)
    {
        RouteGroupBuilder volumes = api.MapGroup("/volumes");
        volumes.MapPost("/snapshot", async (HttpContext context, DiskOperations disks, DomainRegistry registry, CancellationToken token) =>
            await disks.SnapshotAsync(registry.All, (await ReadAsync<SnapshotRequest>(context)).Snapshot, token));
        volumes.MapPost("/flatten", async (HttpContext context, DiskOperations disks, DomainRegistry registry, CancellationToken token) =>
            await disks.BeginFlattenAsync(registry.All, (await ReadAsync<FlattenRequest>(context)).Volume, token));
        volumes.MapDelete("/flatten", (DiskOperations disks, DomainRegistry registry, string volume, CancellationToken token) =>
            disks.StopFlattenAsync(registry.All, volume, token));
        volumes.MapGet("/flatten", async (DiskOperations disks, DomainRegistry registry, CancellationToken token) =>
            Json(await disks.ListFlattenAsync(registry.All, token)));
    }

    private static void MapVnics(RouteGroupBuilder api)
    {
        api.MapGet("/vnics", async (NetworkOperations networks, CancellationToken token) => Json(await networks.ListVnicsAsync(token)));
        api.MapPost("/vnics/{vnic}/limit", async (HttpContext context, NetworkOperations networks, string vnic, CancellationToken token) =>
            await networks.LimitAsync(vnic, await ReadAsync<VnicLimitRequest>(context), token));
        api.MapPost("/vnics/{vnic}/capture", async (HttpContext context, NetworkOperations networks, string vnic, CancellationToken token) =>
            await networks.StartCaptureAsync(vnic, await ReadAsync<VnicCaptureRequest>(context), token));
        api.MapDelete("/vnics/{vnic}/capture", async (NetworkOperations networks, string vnic, CancellationToken token) =>
            Json(await networks.StopCaptureAsync(vnic, token)));
    }

    private static void MapMigration(RouteGroupBuilder api)
    {
        api.MapPost("/domains/{domain}/migrate", async (HttpContext context, MigrationEndpoint migration, string domain) =>
            await migration.MigrateAsync(context, domain, await ReadAsync<MigrateRequest>(context)));
        api.MapPost("/domains/{domain}/migrate-resolve", async (HttpContext context, HandOvers handOvers, string domain, CancellationToken token) =>
            await handOvers.ResolveAsync(domain, (await ReadAsync<MigrationResolveRequest>(context)).Decision, token));
        api.MapGet("/migration", (MigrationListener listener) => Json(listener.Settings));
        api.MapPost("/migration/listen", async (HttpContext context, MigrationListener listener) =>
            listener.Change((await ReadAsync<MigrationListenRequest>(context)).Endpoint));
        api.MapPost("/migration/trusted", async (HttpContext context, PeerKeys keys) => keys.Trust(await ReadAsync<TrustedPeer>(context)));
        api.MapDelete("/migration/trusted/{peer}", (PeerKeys keys, string peer) => keys.Distrust(peer));
    }

    private static void MapManaged(RouteGroupBuilder api)
    {
        api.MapPost("/managed", async (HttpContext context, CreationEndpoint creation) =>
            await creation.DefineAsync(context, await ReadAsync<ConfigurationRequest>(context)));
        api.MapPost("/managed/{name}/start", (HttpContext context, CreationEndpoint creation, string name, bool? paused) =>
            creation.StartManagedAsync(context, name, paused ?? false));
        api.MapDelete("/managed/{name}", (ManagedDomains managed, DomainRegistry registry, SnapshotFolders snapshots, string name) =>
        {
            if (registry.TryFind(name) is not null)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{name}' is running: shut it down before it is deleted");
            }

            if (managed.Find(name).Uuid is { } uuid && snapshots.Of(uuid).Names is { Count: > 0 } kept)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{name}' has snapshots ({string.Join(", ", kept)}): xm snapshot-delete comes first");
            }

            managed.Remove(name);
        });
    }

    private static IResult Json<T>(T value) => Results.Json(value, ControlJson.Options);

    private static async Task<T> ReadAsync<T>(HttpContext context)
        where T : class
    {
        T? body = context.Request.HasJsonContentType()
            ? await context.Request.ReadFromJsonAsync<T>(ControlJson.Options, context.RequestAborted)
            : null;
        return body ?? throw new DomainFailureException(DomainFailureCode.InvalidArgument, "the request has no JSON body");
    }
}
