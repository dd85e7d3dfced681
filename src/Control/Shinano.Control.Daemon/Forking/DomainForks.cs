using System.Diagnostics;
using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Consoles;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Domains;
using Shinano.Control.Daemon.Saving;
using Shinano.XenStore.Protocol;

namespace Shinano.Control.Daemon.Forking;

/// <summary><c>xm fork</c>: running copies of a running domain.</summary>
internal sealed class DomainForks(
    DomainOperations operations, DomainRegistry registry, ManagedDomains managed, DomainStarter starter, DomainLifecycle lifecycle, DiskOperations disks, IVolumeResolver volumes,
    StoreSnapshot store, WarmProcesses warm, TimeProvider clock, ILogger<DomainForks> logger)
{
    /// <summary>Most copies of one request.</summary>
    private const int MostCopies = 1000;

    /// <summary>Copying what has changed since the domain was copied before.</summary>
    private static readonly TimeSpan FreezePatience = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Makes copies. The domain keeps still while its state, its memory and its volumes are fixed, all of one moment, and goes on while the copies are made.
    /// </summary>
    /// <exception cref="DomainFailureException">It cannot be copied, or the one copy could not be made; it goes on, and nothing is left behind.</exception>
    public async Task<ForkResult> ForkAsync(string domain, ForkRequest request, CancellationToken cancellationToken)
    {
        long asked = Stopwatch.GetTimestamp();
        DomainEntry entry = operations.FindRunning(domain);
        IReadOnlyList<string> names = NamesOf(request);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            operations.FindRunning(domain);
            IReadOnlyList<ForkedDisk> written = await DisksOfAsync(entry, request, names, cancellationToken);
            DomainConnection connection = entry.RequireConnection();
            ForkOffer offer = new(Path.Combine(entry.Directory.Path, "fork"), RelayToken.Create().ToText());
            long began = Stopwatch.GetTimestamp();
            List<ForkedDisk> taken = [];
            SavedDescription? description = null;
            try
            {
                await StillDomain.WhileAsync(
                    entry,
                    async _ =>
                    {
                        foreach (ForkedDisk disk in written)
                        {
                            await disks.SnapshotAsync(entry, disk.Disk, disk.Snapshot, Guid.NewGuid(), CancellationToken.None);
                            taken.Add(disk);
                        }

                        await connection.CallAsync((process, token) => process.OfferForkAsync(offer, token), FreezePatience, CancellationToken.None);
                        description = SavedDescription.Of(entry, store, clock.GetUtcNow());
                        return true;
                    },
                    cancellationToken);
                TimeSpan still = Stopwatch.GetElapsedTime(began);
                ForkResult result = await MakeAllAsync(new Fork(entry, description!, offer, written, request, asked), names) with { StillNanoseconds = (long)still.TotalNanoseconds };
                return request.Count == 1 && result.Failures is [DomainFailure failure] ? throw new DomainFailureException(failure) : result;
            }
            finally
            {
                // A snapshot that no copy's volume begins at.
                await TryAsync(entry, () => volumes.DestroyAsync([.. taken.Select(disk => disk.Snapshot)]));
                await TryAsync(entry, () => connection.CallAsync((process, token) => process.WithdrawForkAsync(token), DomainEntry.QuickCall, CancellationToken.None));
            }
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    private IReadOnlyList<string> NamesOf(ForkRequest request)
    {
        if (request.Count is < 1 or > MostCopies)
        {
            throw Invalid($"{request.Count} copies: 1 to {MostCopies} can be made at once");
        }

        string[] names = request.Count == 1
            ? [request.Name]
            : [.. Enumerable.Range(1, request.Count).Select(number => string.Create(CultureInfo.InvariantCulture, $"{request.Name}-{number}"))];
        foreach (string name in names)
        {
            if (DomainName.Check(name) is { } problem)
            {
                throw Invalid($"'{name}': {problem}");
            }

            registry.DemandFree(name, null);
            if (managed.TryFind(name) is not null)
            {
                throw new DomainFailureException(DomainFailureCode.Duplicate, $"'{name}' is a managed domain");
            }
        }

        return names;
    }

    private async Task<IReadOnlyList<ForkedDisk>> DisksOfAsync(DomainEntry entry, ForkRequest request, IReadOnlyList<string> names, CancellationToken cancellationToken)
    {
        List<ForkedDisk> written = [];
        foreach (DiskConfiguration disk in entry.Record.Configuration.Disks.Where(disk => !disk.ReadOnly && !disk.IsCdrom))
        {
            string volume = disk.Volume ?? throw new DomainFailureException(
                DomainFailureCode.NotSupported,
                $"disk {disk.VirtualDevice} of '{entry.Record.Name}' is written to and is no volume ({disk.Target}), so that a copy cannot have one of its own: use vol:POOL/VOLUME, or mode r");
            ForkedDisk forked = new(disk, volume, $"{volume}@fork-{ForkedDisk.Legal(request.Name)}");
            foreach (string name in (string[])[forked.Snapshot, .. names.Select(forked.CloneOf)])
            {
                await volumes.DemandFreeAsync(name, cancellationToken);
            }

            written.Add(forked);
        }

        return written;
    }

    private async Task<ForkResult> MakeAllAsync(Fork fork, IReadOnlyList<string> names)
    {
        CreatedDomain?[] made = new CreatedDomain?[names.Count];
        DomainFailure?[] failures = new DomainFailure?[names.Count];
        long[] running = new long[names.Count];
        using IDisposable? hold = names.Count > 1 ? warm.HoldBack() : null;
        await Parallel.ForAsync(0, names.Count, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(2, Environment.ProcessorCount) }, async (index, _) =>
        {
            try
            {
                made[index] = await MakeAsync(fork, names[index]);
                running[index] = (long)Stopwatch.GetElapsedTime(fork.Asked).TotalNanoseconds;
            }
            catch (DomainFailureException e)
            {
                failures[index] = names.Count == 1 ? e.Failure : e.Failure with { Message = $"{names[index]}: {e.Failure.Message}" };
            }
        });
        return new ForkResult([.. made.OfType<CreatedDomain>()], [.. failures.OfType<DomainFailure>()], 0, [.. running.Where(time => time > 0)]);
    }

    private async Task<CreatedDomain> MakeAsync(Fork fork, string name)
    {
        string[] clones = [.. fork.Disks.Select(disk => disk.CloneOf(name))];
        try
        {
            foreach (ForkedDisk disk in fork.Disks)
            {
                await volumes.CloneAsync(disk.Snapshot, disk.CloneOf(name), CancellationToken.None);
            }

            DomainEntry copy = await StartAsync(fork, name, clones);
            if (fork.Request.Paused)
            {
                lifecycle.Watch(copy);
            }
            else
            {
                await lifecycle.RunAsync(copy, CancellationToken.None);
            }

            logger.LogInformation("domain {Id} '{Name}' is a copy of domain {Parent} '{ParentName}'", copy.Id, name, fork.Parent.Id, fork.Parent.Record.Name);
            return new CreatedDomain(copy.Id, name, copy.Record.Uuid, copy.Directory.ConsoleSocket);
        }
        catch (DomainFailureException)
        {
            await TryAsync(fork.Parent, () => volumes.DestroyAsync(clones));
            throw;
        }
    }

    private Task<DomainEntry> StartAsync(Fork fork, string name, string[] clones)
    {
        DomainRecord parent = fork.Parent.Record;
        DomainConfiguration configuration = fork.Description.Configuration;

        // A copy whose own interface is just being plugged in has it in both.
        VifConfiguration[] vifs = [.. parent.AwaitedVifs.Concat(configuration.Vifs).DistinctBy(vif => vif.Number)];
        SavedDescription copy = fork.Description with
        {
            Name = name,
            Uuid = Guid.NewGuid(),
            Configuration = configuration with
            {
                Disks = [.. configuration.Disks.Select(disk => fork.Disks.FirstOrDefault(forked => forked.Disk == disk)?.DiskOf(name) ?? disk)],
                Vifs = [],

                // A path is one domain's: the copy's channels are reached by xm console.
                Channels = [.. configuration.Channels.Select(channel => channel with { Connection = ChannelConnection.Pty, Path = null })],
                Display = configuration.Display is { } display ? display with { FindUnused = true } : null,
                OnReboot = Ending(configuration.OnReboot),
                OnCrash = Ending(configuration.OnCrash),
                OnWatchdog = Ending(configuration.OnWatchdog),
                OnPoweroff = Ending(configuration.OnPoweroff),
            },
        };
        return starter.ForkAsync(
            copy,
            fork.Offer,
            vifs,
            record => record with
            {
                // Ports of the host's can lead to one domain only, and addresses be one domain's.
                AwaitedVifs = [.. vifs.Select(vif => ConfigurationIntake.Complete(vif with { Mac = null, Forwards = [], Addresses = [] }))],
                TemporaryVolumes = fork.Request.Temporary ? [.. clones, .. fork.Disks.Select(disk => disk.Snapshot)] : [],
            },
            CancellationToken.None);

        LifecycleAction Ending(LifecycleAction action) => !fork.Request.Temporary ? action : action switch
        {
            LifecycleAction.Restart or LifecycleAction.RenameRestart => LifecycleAction.Destroy,
            LifecycleAction.CoredumpRestart => LifecycleAction.CoredumpDestroy,
            _ => action,
        };
    }

    private async Task TryAsync(DomainEntry entry, Func<Task> step)
    {
        try
        {
            await step();
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}' after it was copied: {Message}", entry.Id, entry.Record.Name, e.Message);
        }
    }

    private static DomainFailureException Invalid(string message) => new(DomainFailureCode.InvalidArgument, message);

    /// <summary>What the copies of one request have in common.</summary>
    private sealed record Fork(DomainEntry Parent, SavedDescription Description, ForkOffer Offer, IReadOnlyList<ForkedDisk> Disks, ForkRequest Request, long Asked);
}
