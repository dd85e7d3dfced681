using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;
using Shinano.Control.Daemon.Snapshots;

namespace Shinano.Control.Daemon.Http;

/// <summary>Creation of a domain, told as it goes: the answer is a stream of <see cref="CreateEvent"/> lines.</summary>
internal sealed class CreationEndpoint(
    DomainStarter starter, DomainLifecycle lifecycle, ManagedDomains managed, DomainSaves saves, SnapshotReverts reverts, ILogger<CreationEndpoint> logger)
{
    public Task CreateAsync(HttpContext context, ConfigurationRequest request) => StreamAsync(context, async write =>
    {
        DomainConfiguration configuration = ReadOrThrow(request, write);
        if (managed.TryFind(configuration.Name) is { } definition && definition.Uuid != configuration.Uuid)
        {
            throw new DomainFailureException(
                DomainFailureCode.Duplicate, $"'{configuration.Name}' is a managed domain: xm start starts it, xm delete removes it");
        }

        return request.DryRun ? null : await RunAsync(configuration, request.Paused, write, context.RequestAborted);
    });

    /// <summary><c>xm restore</c>.</summary>
    public Task RestoreAsync(HttpContext context, RestoreRequest request) => StreamAsync(context, async write => await GoAsync(
        await saves.RestoreAsync(request.Path, progress => write(new CreateEvent { Progress = progress }), context.RequestAborted), request.Paused));

    /// <summary><c>xm snapshot-revert</c>.</summary>
    public Task RevertAsync(HttpContext context, string domain, string snapshot, RevertRequest request) => StreamAsync(context, async write =>
    {
        (DomainEntry entry, bool wasPaused) = await reverts.RevertAsync(domain, snapshot, progress => write(new CreateEvent { Progress = progress }), context.RequestAborted);
        return await GoAsync(entry, request.Paused ?? wasPaused);
    });

    public Task StartManagedAsync(HttpContext context, string name, bool paused) => StreamAsync(
        context, async write => await RunAsync(managed.Find(name), paused, write, context.RequestAborted));

    /// <summary><c>xm new</c>: no process, so no progress; the diagnostics come in the same form.</summary>
    public Task DefineAsync(HttpContext context, ConfigurationRequest request) => StreamAsync(context, write =>
    {
        managed.Add(ReadOrThrow(request, write));
        return Task.FromResult<CreatedDomain?>(null);
    });

    private static DomainConfiguration ReadOrThrow(ConfigurationRequest request, Action<CreateEvent> write)
    {
        (DomainConfiguration? configuration, IReadOnlyList<DiagnosticMessage> diagnostics) = ConfigurationIntake.Read(request);
        foreach (DiagnosticMessage diagnostic in diagnostics)
        {
            write(new CreateEvent { Diagnostic = diagnostic });
        }

        return configuration ?? throw new DomainFailureException(ConfigurationIntake.Failure(request.FileName, diagnostics));
    }

    private async Task<CreatedDomain?> RunAsync(
        DomainConfiguration configuration, bool paused, Action<CreateEvent> write, CancellationToken cancellationToken) => await GoAsync(
            await starter.StartAsync(configuration, [], progress => write(new CreateEvent { Progress = progress }), cancellationToken), paused);

    /// <summary>Has a built domain watched, and lets it run.</summary>
    private async Task<CreatedDomain?> GoAsync(DomainEntry entry, bool paused)
    {
        if (paused)
        {
            lifecycle.Watch(entry);
        }
        else
        {
            await lifecycle.RunAsync(entry, CancellationToken.None);
        }

        return new CreatedDomain(entry.Id, entry.Record.Name, entry.Record.Uuid, entry.Directory.ConsoleSocket);
    }

    private Task StreamAsync(HttpContext context, Func<Action<CreateEvent>, Task<CreatedDomain?>> work) => LineStream.WriteAsync<CreateEvent>(
        context,
        logger,
        async write =>
        {
            if (await work(write) is { } created)
            {
                write(new CreateEvent { Created = created });
            }
        },
        failure => new CreateEvent { Failure = failure });
}
