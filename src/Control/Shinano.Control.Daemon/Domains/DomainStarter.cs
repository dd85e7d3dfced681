using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Daemon.Devices;
using Shinano.Control.Daemon.Migration;
using Shinano.Control.Daemon.Saving;
using Shinano.Control.Daemon.Scheduling;
using Shinano.Linux;
using Shinano.SavedState;
using Shinano.XenStore.Protocol;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Makes a domain of a configuration: all of it, or nothing that stays behind.</summary>
internal sealed class DomainStarter(
    ShinanoPaths paths, DomainRegistry registry, DomainTree tree, DomainDevices devices, BootLoaders bootLoaders, DomainLogs logs, HostFacts host, StoreSnapshot snapshot,
    IVolumeResolver volumes, WarmProcesses warm,
    ILogger<DomainStarter> logger)
{
    /// <summary>Reading a kernel and a ramdisk from a slow disk and decompressing them.</summary>
    private static readonly TimeSpan BuildPatience = TimeSpan.FromMinutes(5);

    /// <summary>A domain that comes over a slow link; the link itself is watched elsewhere.</summary>
    private static readonly TimeSpan ArrivalPatience = TimeSpan.FromHours(12);

    /// <summary>
    /// Builds a domain and leaves it paused; the caller has it watched and lets it run. Throws <see cref="DomainFailureException"/> with nothing
    /// left behind.
    /// </summary>
    public async Task<DomainEntry> StartAsync(
        DomainConfiguration configuration, IReadOnlyList<DateTimeOffset> restarts, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        registry.DemandFree(configuration.Name, configuration.Uuid);
        configuration = await bootLoaders.ResolveAsync(configuration, progress, cancellationToken);
        CheckAgainstHost(configuration);
        return await MakeAsync(configuration, record => record with { Restarts = restarts }, null, null, progress, cancellationToken);
    }

    /// <summary>
    /// Builds a domain of a saved one, under a number of its own, and leaves it paused. As <see cref="StartAsync"/>; kernel and ramdisk are not looked at.
    /// </summary>
    /// <param name="file">The saved domain, which was verified.</param>
    public async Task<DomainEntry> RestoreAsync(
        SavedDescription saved, string file, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        DomainConfiguration configuration = saved.Configuration with { Name = saved.Name, Uuid = saved.Uuid };
        registry.DemandFree(configuration.Name, configuration.Uuid);
        CheckMemory(configuration);
        return await MakeAsync(
            configuration,
            record => record with { FormerIds = saved.FormerIds, Spec = record.Spec with { RestorePath = file } },
            saved,
            null,
            progress,
            cancellationToken);
    }

    /// <summary>
    /// Builds a domain that comes from another host and leaves it paused, for xend's next start still half made: <see cref="DomainPhase.Starting"/>. As <see cref="RestoreAsync"/>.
    /// </summary>
    /// <param name="offered">What it is to be.</param>
    /// <param name="transfer">The transfer that brings it.</param>
    /// <param name="state">Brings it.</param>
    public async Task<DomainEntry> ReceiveAsync(SavedDescription offered, Guid transfer, ArrivingState state, CancellationToken cancellationToken)
    {
        DomainConfiguration configuration = offered.Configuration with { Name = offered.Name, Uuid = offered.Uuid };
        registry.DemandFree(configuration.Name, configuration.Uuid);
        CheckMemory(configuration);
        return await MakeAsync(
            configuration,
            record => record with
            {
                FormerIds = offered.FormerIds,
                Arriving = transfer,
                Spec = record.Spec with { ArrivalSocketPath = new DomainDirectory(paths, record.Spec.DomainId).StateSocket },
            },
            null,
            state,
            null,
            cancellationToken);
    }

    /// <summary>Removes a domain that was built and is not to be.</summary>
    public async Task DiscardAsync(DomainEntry entry)
    {
        await entry.Gate.WaitAsync();
        try
        {
            entry.Ended = true;
            await UndoAsync(entry);
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Builds a copy of a running domain, whose process offers its state and memory, and leaves it paused. As <see cref="RestoreAsync"/>.</summary>
    /// <param name="saved">The domain that is copied, with name, uuid, disks and interfaces of the copy.</param>
    /// <param name="vifs">Interfaces that the guest has still, from before it was copied.</param>
    /// <param name="complete">What else the copy's record has.</param>
    public async Task<DomainEntry> ForkAsync(
        SavedDescription saved, ForkOffer offer, IReadOnlyList<VifConfiguration> vifs, Func<DomainRecord, DomainRecord> complete, CancellationToken cancellationToken)
    {
        DomainConfiguration configuration = saved.Configuration with { Name = saved.Name, Uuid = saved.Uuid };
        registry.DemandFree(configuration.Name, configuration.Uuid);
        return await MakeAsync(
            configuration,
            record => complete(record with { FormerIds = saved.FormerIds, Spec = record.Spec with { Fork = offer } }),
            saved,
            null,
            null,
            cancellationToken,
            [.. vifs.Select(devices.PlanUnplugged)]);
    }

    private async Task<DomainEntry> MakeAsync(
        DomainConfiguration configuration,
        Func<DomainRecord, DomainRecord> complete,
        SavedDescription? saved,
        ArrivingState? arriving,
        Action<BuildProgress>? progress,
        CancellationToken cancellationToken,
        IReadOnlyList<DevicePlan>? further = null)
    {
        IReadOnlyList<DevicePlan> plans = await devices.PlansOfAsync(configuration, cancellationToken);
        DomainEntry entry = Prepare(configuration, complete);
        plans =
        [
            .. plans,
            .. further ?? [],
            .. DisplayPlanner.PlansOf(configuration.Display, entry.Directory.VncSocket),
            .. ChannelPlanner.PlansOf(configuration.Channels, entry.Directory),
        ];
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            saved = await BuildAsync(entry, arriving, progress, cancellationToken) ?? saved;
            if (saved is not null)
            {
                snapshot.Put(entry.Id, saved);
                plans = [.. plans.Select(plan => plan with { RestoredFront = StoreSnapshot.FrontNodes(saved, plan.Spec.Kind, plan.Spec.Id) })];
            }

            await AttachAsync(entry, plans, progress, cancellationToken);
            if (arriving is null)
            {
                entry.Update(record => record with { Phase = DomainPhase.Live });
            }

            return entry;
        }
        catch (Exception e)
        {
            entry.Ended = true;
            await UndoAsync(entry);
            throw e switch
            {
                DomainFailureException => e,
                SavedStateException => new DomainFailureException(DomainFailureCode.SavedDomainSenseless, e.Message, e),
                IOException or UnauthorizedAccessException => new DomainFailureException(DomainFailureCode.HostResource, e.Message, e),
                _ => e,
            };
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Removes a domain's process, nodes, files and entry. Goes on past what fails.</summary>
    public async Task UndoAsync(DomainEntry entry)
    {
        DomainRecord record = entry.Record;
        await TryAsync(entry, "process", async () =>
        {
            if (record.Process is { } process)
            {
                await DomainProgram.EndAsync(process, entry.Connection, CancellationToken.None);
            }
        });
        entry.Connection?.Dispose();
        entry.Connection = null;
        await TryAsync(entry, "xenstore nodes", () =>
        {
            tree.Remove(entry.Id, record.Uuid);
            return Task.CompletedTask;
        });
        await TryAsync(entry, "vnics", () => devices.ReleaseAllAsync(entry.Id));
        await TryAsync(entry, "volumes", () => volumes.DestroyAsync(record.TemporaryVolumes));
        await TryAsync(entry, "files", () =>
        {
            entry.Directory.Delete();
            return Task.CompletedTask;
        });
        registry.Remove(entry);
    }

    private static async Task BuildProcessAsync(DomainEntry entry, Action<BuildProgress>? progress, string log, CancellationToken cancellationToken)
    {
        DomainSpec spec = entry.Record.Spec;
        DomainConnection connection = await DomainProgram.ConnectAsync(entry.Record.Process!, spec, log, cancellationToken);
        entry.Connection = connection;
        connection.OnProgress = progress;
        DomainHello hello = await connection.CallAsync((domain, token) => domain.HelloAsync(token), DomainEntry.QuickCall, cancellationToken);
        if (hello.ProtocolVersion != DomainControlChannel.ProtocolVersion || hello.Uuid != spec.Uuid)
        {
            throw new DomainFailureException(
                DomainFailureCode.Internal,
                $"the domain process speaks version {hello.ProtocolVersion} of the control channel, xend {DomainControlChannel.ProtocolVersion}: build both anew");
        }
    }

    /// <returns>What came with a domain from elsewhere; null for others.</returns>
    private async Task<SavedDescription?> BuildAsync(
        DomainEntry entry, ArrivingState? arriving, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        DomainSpec spec = entry.Record.Spec;
        string log = logs.ProcessLog(spec.Name);
        entry.Directory.Create();
        if (spec.Console.LogPath is { } consoleLog)
        {
            ShinanoPaths.EnsureDirectory(Path.GetDirectoryName(consoleLog)!);
        }

        DomainSpecFile.Write(entry.Directory.Spec, spec);
        entry.Update(record => record);
        DomainProgram.BeginLog(spec, log);
        bool boots = spec is { RestorePath: null, ArrivalSocketPath: null, Fork: null };
        ProcessStamp process = await warm.TryStartAsync(entry.Directory.Spec, log, boots, cancellationToken) ?? DomainProgram.Start(entry.Directory.Spec, log);
        entry.Update(record => record with { Process = process });
        await BuildProcessAsync(entry, progress, log, cancellationToken);

        DomainConnection connection = entry.Connection!;
        SavedDescription? saved = null;
        DomainBuildResult build;
        if (arriving is null)
        {
            build = await connection.CallAsync((domain, token) => domain.BuildAsync(token), BuildPatience, cancellationToken);
        }
        else
        {
            (build, saved) = await arriving.FeedAsync(
                entry, () => connection.CallAsync((domain, token) => domain.BuildAsync(token), ArrivalPatience, cancellationToken));
        }

        connection.OnProgress = null;
        tree.Write(entry.Record, build);
        logger.LogInformation("domain {Id} '{Name}' is built by process {Process}", entry.Id, spec.Name, process.Id);
        return saved;
    }

    private async Task AttachAsync(DomainEntry entry, IReadOnlyList<DevicePlan> plans, Action<BuildProgress>? progress, CancellationToken cancellationToken)
    {
        foreach (DevicePlan plan in plans)
        {
            progress?.Invoke(new BuildProgress("device", $"{plan.Spec.Kind}/{plan.Spec.Id}", 0));
            await devices.AttachAsync(entry, plan, cancellationToken);
        }
    }

    private DomainEntry Prepare(DomainConfiguration configuration, Func<DomainRecord, DomainRecord> complete)
    {
        int id = registry.TakeId();
        DomainDirectory directory = new(paths, id);
        Guid uuid = configuration.Uuid ?? Guid.NewGuid();
        DomainSpec spec = new()
        {
            DomainId = id,
            Uuid = uuid,
            Name = configuration.Name,
            MemoryBytes = (long)configuration.MemoryMebibytes << 20,
            MaxMemoryBytes = (long)configuration.MaxMemoryMebibytes << 20,
            Vcpus = configuration.Vcpus,
            MaxVcpus = configuration.MaxVcpus,
            CpuCapPercent = configuration.CpuCapPercent,
            VcpuAffinity = configuration.VcpuAffinity,
            KernelPath = configuration.Kernel,
            RamdiskPath = configuration.Ramdisk,
            CommandLine = configuration.CommandLine,
            CpuEngine = configuration.CpuEngine,
            CodeCacheBytes = (long?)configuration.CodeCacheMebibytes << 20,
            ControlSocketPath = directory.ControlSocket,
            XenStoreRelaySocketPath = paths.XenStoreRelaySocket,
            XenStoreToken = RelayToken.Create().ToText(),
            Console = new ConsoleSpec { SocketPath = directory.ConsoleSocket, LogPath = logs.ConsoleLog(configuration.Name) },
            Vnc = DisplayPlanner.VncOf(configuration.Display, directory.VncSocket),
            LogDirectory = paths.LogDirectory,
            FailurePath = directory.Failure,
        };
        DomainEntry entry = new(
            complete(new DomainRecord
            {
                Phase = DomainPhase.Starting,
                Spec = spec,
                Configuration = configuration with { Uuid = uuid },
                Name = spec.Name,
                Uuid = uuid,
                Created = DateTimeOffset.UtcNow,
            }),
            directory);
        registry.Add(entry);
        return entry;
    }

    /// <summary>What can be said without starting anything: files that are not there, memory the host does not have.</summary>
    private void CheckAgainstHost(DomainConfiguration configuration)
    {
        CheckReadable(configuration.Kernel, "kernel", DomainFailureCode.KernelUnreadable);
        if (configuration.Ramdisk is { } ramdisk)
        {
            long length = CheckReadable(ramdisk, "ramdisk", DomainFailureCode.RamdiskUnreadable);
            if (length >= (long)configuration.MemoryMebibytes << 20)
            {
                throw new DomainFailureException(
                    DomainFailureCode.RamdiskTooLarge,
                    $"{ramdisk}: the ramdisk of {(length + 0xfffff) >> 20} MiB does not fit into memory={configuration.MemoryMebibytes} MiB");
            }
        }

        CheckMemory(configuration);
        SchedulingOperations.DemandHostHas([.. configuration.VcpuAffinity.SelectMany(cpus => cpus).Distinct().Order()]);
    }

    private void CheckMemory(DomainConfiguration configuration)
    {
        long available = host.DomainMemoryLimitBytes;
        if ((long)configuration.MemoryMebibytes << 20 > available)
        {
            throw new DomainFailureException(
                DomainFailureCode.MemoryTooLarge, $"memory={configuration.MemoryMebibytes} MiB is more than this host has ({available >> 20} MiB)");
        }
    }

    private static long CheckReadable(string path, string what, DomainFailureCode code)
    {
        try
        {
            if (Directory.Exists(path))
            {
                throw new DomainFailureException(code, $"{path}: the {what} is a directory, not a file");
            }

            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            return file.Length;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DomainFailureException(code, $"{path}: the {what} does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new DomainFailureException(code, $"{path}: the {what} cannot be read: {e.Message}", e);
        }
    }

    private async Task TryAsync(DomainEntry entry, string what, Func<Task> step)
    {
        try
        {
            await step();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            logger.LogError(e, "domain {Id} '{Name}': its {What} could not be removed", entry.Id, entry.Record.Name, what);
        }
    }
}
