using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Devices;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Watches domains and does what is to be done when one ends (on_poweroff, on_reboot, on_crash, on_watchdog).</summary>
internal sealed class DomainLifecycle(
    DomainRegistry registry, DomainStarter starter, DomainTree tree, DomainDevices devices, DomainLogs logs, TimeProvider clock, ILogger<DomainLifecycle> logger)
{
    /// <summary>More restarts than this within <see cref="RestartWindow"/>, and the domain stays down.</summary>
    private const int MaximumRestarts = 5;

    private static readonly TimeSpan RestartWindow = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan DumpPatience = TimeSpan.FromMinutes(10);

    /// <summary>Begins to watch a domain that is live.</summary>
    public void Watch(DomainEntry entry)
    {
        DomainConnection connection = entry.Connection!;
        connection.OnDeviceEnded = (_, _) => InBackground(entry, () => ReconcileAsync(entry));
        connection.ObserveShutdown(reason => InBackground(entry, () => HandleShutdownAsync(entry, reason)));

        // What ended while no xend was there.
        InBackground(entry, () => ReconcileAsync(entry));
        foreach (VifConfiguration vif in entry.Record.AwaitedVifs)
        {
            InBackground(entry, () => ReplaceAsync(entry, vif));
        }

        InBackground(entry, async () =>
        {
            await connection.Closed;
            await HandleLossAsync(entry, connection);
        });
    }

    /// <summary><c>xm destroy</c>: whatever it is doing, it goes.</summary>
    public async Task DestroyAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            if (registry.TryFind(entry.Record.Name) != entry)
            {
                return;
            }

            entry.Ended = true;
            await starter.UndoAsync(entry);
            logger.LogInformation("domain {Id} '{Name}' was destroyed", entry.Id, entry.Record.Name);
            entry.Outcome.TrySetResult(Describe(entry, DomainEnd.Destroyed, "destroy"));
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>The guest has shut down; its process waits for what is decided here.</summary>
    public async Task HandleShutdownAsync(DomainEntry entry, ShutdownReason reason)
    {
        await entry.Gate.WaitAsync();
        try
        {
            if (entry.Ended)
            {
                return;
            }

            entry.Ended = true;
            logger.LogInformation("domain {Id} '{Name}' has shut down: {Reason}", entry.Id, entry.Record.Name, reason);
            NotifyStore(entry);
            await EndAsync(entry, ToEnd(reason), ActionFor(entry.Record.Configuration, reason));
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>The process is gone without a word: a crash.</summary>
    public async Task HandleDeathAsync(DomainEntry entry)
    {
        await entry.Gate.WaitAsync();
        try
        {
            // What becomes of a domain that was handed over is not ours to decide.
            if (entry.Ended || entry.Record.HandedOver is not null)
            {
                return;
            }

            entry.Ended = true;
            logger.LogError("the process of domain {Id} '{Name}' has died", entry.Id, entry.Record.Name);
            NotifyStore(entry);

            // Nothing is left to dump or to keep but the entry.
            LifecycleAction action = entry.Record.Configuration.OnCrash switch
            {
                LifecycleAction.CoredumpDestroy => LifecycleAction.Destroy,
                LifecycleAction.CoredumpRestart => LifecycleAction.Restart,
                LifecycleAction other => other,
            };
            await EndAsync(entry, DomainEnd.ProcessDied, action);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    private static DomainEnd ToEnd(ShutdownReason reason) => reason switch
    {
        ShutdownReason.Poweroff => DomainEnd.Poweroff,
        ShutdownReason.Reboot => DomainEnd.Reboot,
        ShutdownReason.Suspend => DomainEnd.Suspend,
        ShutdownReason.Watchdog => DomainEnd.Watchdog,
        ShutdownReason.SoftReset => DomainEnd.SoftReset,
        _ => DomainEnd.Crash,
    };

    private static LifecycleAction ActionFor(DomainConfiguration configuration, ShutdownReason reason) => reason switch
    {
        ShutdownReason.Poweroff => configuration.OnPoweroff,
        ShutdownReason.Reboot => configuration.OnReboot,
        ShutdownReason.Watchdog => configuration.OnWatchdog,

        // Nobody here saves domains yet: a suspended one is kept until it is destroyed.
        ShutdownReason.Suspend => LifecycleAction.Preserve,
        _ => configuration.OnCrash,
    };

    private static string Spell(LifecycleAction action) => action switch
    {
        LifecycleAction.Destroy => "destroy",
        LifecycleAction.Restart => "restart",
        LifecycleAction.RenameRestart => "rename-restart",
        LifecycleAction.Preserve => "preserve",
        LifecycleAction.CoredumpDestroy => "coredump-destroy",
        _ => "coredump-restart",
    };

    private static DomainOutcome Describe(DomainEntry entry, DomainEnd end, string action) => new()
    {
        Id = entry.Id,
        Name = entry.Record.Name,
        Uuid = entry.Record.Uuid,
        End = end,
        Action = action,
    };

    /// <summary>Called under the gate, with the entry marked as ended.</summary>
    private async Task EndAsync(DomainEntry entry, DomainEnd end, LifecycleAction action)
    {
        DomainOutcome outcome = Describe(entry, end, Spell(action));
        if (action is LifecycleAction.CoredumpDestroy or LifecycleAction.CoredumpRestart)
        {
            outcome = outcome with { Detail = await DumpAsync(entry) };
        }

        bool restart = action is LifecycleAction.Restart or LifecycleAction.RenameRestart or LifecycleAction.CoredumpRestart;
        DateTimeOffset now = clock.GetUtcNow();
        DateTimeOffset[] restarts = [.. entry.Record.Restarts.Where(time => now - time < RestartWindow), now];
        if (restart && restarts.Length > MaximumRestarts)
        {
            logger.LogError("domain '{Name}' restarts too fast and stays down", entry.Record.Name);
            outcome = outcome with
            {
                Action = "destroy",
                Detail = $"restarted {MaximumRestarts} times within {RestartWindow.TotalSeconds:0} s: not restarted again",
            };
            restart = false;
            action = LifecycleAction.Destroy;
        }

        DomainConfiguration configuration = entry.Record.Configuration with { Name = entry.Record.Name };
        if (action is LifecycleAction.Preserve or LifecycleAction.RenameRestart)
        {
            Keep(entry, outcome, rename: action == LifecycleAction.RenameRestart);
        }
        else
        {
            await starter.UndoAsync(entry);
        }

        if (restart)
        {
            outcome = await RestartAsync(configuration, restarts, outcome);
        }

        entry.Outcome.TrySetResult(outcome);
    }

    private void Keep(DomainEntry entry, DomainOutcome outcome, bool rename)
    {
        if (rename)
        {
            Guid oldUuid = entry.Record.Uuid;
            registry.Rename(entry, registry.FreeNameLike(entry.Record.Name), Guid.NewGuid());
            tree.Rename(oldUuid, entry.Record);
        }

        entry.Update(record => record with { Phase = DomainPhase.Kept, Outcome = outcome });
    }

    private async Task<DomainOutcome> RestartAsync(DomainConfiguration configuration, DateTimeOffset[] restarts, DomainOutcome outcome)
    {
        try
        {
            DomainEntry successor = await starter.StartAsync(configuration, restarts, progress: null, CancellationToken.None);
            await RunAsync(successor, CancellationToken.None);
            return outcome with
            {
                Successor = new CreatedDomain(successor.Id, successor.Record.Name, successor.Record.Uuid, successor.Directory.ConsoleSocket),
            };
        }
        catch (DomainFailureException e)
        {
            logger.LogError("domain '{Name}' could not be restarted: {Message}", configuration.Name, e.Message);
            return outcome with { Detail = $"could not be restarted: {e.Message}" };
        }
    }

    /// <summary>Watches a freshly built domain and lets it run.</summary>
    public async Task RunAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        DomainConnection connection = entry.RequireConnection();
        Watch(entry);
        try
        {
            await connection.CallAsync((domain, token) => domain.UnpauseAsync(token), DomainEntry.QuickCall, cancellationToken);
        }
        catch (DomainFailureException) when (entry.Ended)
        {
            // It ran, ended and was removed before it could answer; its outcome says how.
        }
    }

    private async Task<string> DumpAsync(DomainEntry entry)
    {
        string path = logs.Core(entry.Record.Name, entry.Id, clock.GetLocalNow());
        try
        {
            await entry.RequireConnection().CallAsync((domain, token) => domain.DumpCoreAsync(path, token), DumpPatience, CancellationToken.None);
            logger.LogInformation("domain {Id} '{Name}': core written to {Path}", entry.Id, entry.Record.Name, path);
            return $"core in {path}";
        }
        catch (DomainFailureException e)
        {
            logger.LogError("domain {Id} '{Name}': no core: {Message}", entry.Id, entry.Record.Name, e.Message);
            return $"no core: {e.Message}";
        }
    }

    /// <summary>The control connection has ended: the process died, or it only lost its socket.</summary>
    private async Task HandleLossAsync(DomainEntry entry, DomainConnection connection)
    {
        if (entry.Ended || entry.Record.Process is not { } process)
        {
            return;
        }

        if (!await DomainEntry.WaitForEndAsync(process, TimeSpan.FromSeconds(5), CancellationToken.None) && !entry.Ended)
        {
            logger.LogError("domain {Id} '{Name}' closed its control channel and lives: it is ended", entry.Id, entry.Record.Name);
            await DomainProgram.EndAsync(process, null, CancellationToken.None);
        }

        connection.Dispose();
        await HandleDeathAsync(entry);
    }

    /// <summary>As Xen's VIRQ_DOM_EXC makes xenstored do: @releaseDomain fires while the nodes are still there.</summary>
    private void NotifyStore(DomainEntry entry)
    {
        try
        {
            tree.NotifyShutdown(entry.Id);
        }
        catch (IOException e)
        {
            logger.LogWarning("domain {Id} '{Name}': xenstore was not told of its end: {Message}", entry.Id, entry.Record.Name, e.Message);
        }
    }

    /// <summary>The guest has let go of a device, after all or while nobody was there.</summary>
    private async Task ReconcileAsync(DomainEntry entry)
    {
        await entry.Gate.WaitAsync();
        try
        {
            if (!entry.Ended)
            {
                await devices.ReconcileAsync(entry, CancellationToken.None);
            }
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    private async Task ReplaceAsync(DomainEntry entry, VifConfiguration vif)
    {
        try
        {
            await devices.ReplaceAsync(entry, vif, CancellationToken.None);
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}' has no interface {Number} of its own: {Message}", entry.Id, entry.Record.Name, vif.Number, e.Message);
        }
    }

    private void InBackground(DomainEntry entry, Func<Task> work) => _ = Task.Run(async () =>
    {
        try
        {
            await work();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            logger.LogError(e, "the end of domain {Id} '{Name}' could not be handled", entry.Id, entry.Record.Name);
        }
    });
}
