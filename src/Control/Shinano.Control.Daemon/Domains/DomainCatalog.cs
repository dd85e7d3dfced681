using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Daemon.Devices;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Describes domains to clients: the host, those that run, those that are only defined.</summary>
internal sealed class DomainCatalog(DomainRegistry registry, ManagedDomains managed, HostFacts host)
{
    public async Task<IReadOnlyList<DomainSummary>> ListAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<DomainEntry> entries = registry.All;
        DomainSummary[] running = await Task.WhenAll(entries.Select(entry => SummariseAsync(entry, cancellationToken)));
        IEnumerable<DomainSummary> defined = managed.All
            .Where(configuration => running.All(domain => domain.Name != configuration.Name))
            .Select(SummariseDefined);
        return [host.DescribeDomainZero(running.Sum(domain => domain.MemoryBytes)), .. running, .. defined];
    }

    public async Task<DomainDetails> DescribeAsync(string domain, CancellationToken cancellationToken)
    {
        if (domain is "0" or DomainName.DomainZero)
        {
            IReadOnlyList<DomainSummary> all = await ListAsync(cancellationToken);
            return new DomainDetails { Summary = all[0], ProcessId = Environment.ProcessId };
        }

        if (registry.TryFind(domain) is not { } entry)
        {
            DomainConfiguration configuration = managed.TryFind(domain)
                ?? throw new DomainFailureException(DomainFailureCode.NoSuchDomain, $"no domain '{domain}'");
            return new DomainDetails { Summary = SummariseDefined(configuration), Configuration = Render(configuration) };
        }

        DomainSpec spec = entry.Record.Spec;
        return new DomainDetails
        {
            Summary = await SummariseAsync(entry, cancellationToken),
            Configuration = Render(entry.Record.Configuration),
            ConsoleSocket = spec.Console.SocketPath,
            ConsoleLog = spec.Console.LogPath,
            Channels = ChannelPlanner.DetailsOf(entry.Record.Configuration.Channels, entry.Directory),
            ProcessId = entry.Record.Process?.Id,
            KernelDescription = entry.LastStatus?.Build?.KernelDescription,
        };
    }

    private static JsonElement Render(DomainConfiguration configuration) => JsonSerializer.SerializeToElement(configuration, ControlJson.Options);

    private static DomainSummary SummariseDefined(DomainConfiguration configuration) => new()
    {
        Name = configuration.Name,
        Uuid = configuration.Uuid ?? Guid.Empty,
        MemoryBytes = (long)configuration.MemoryMebibytes << 20,
        MaxMemoryBytes = (long)configuration.MaxMemoryMebibytes << 20,
        Vcpus = configuration.Vcpus,
        MaxVcpus = configuration.MaxVcpus,
        CpuEngine = configuration.CpuEngine,
        CpuWeight = configuration.CpuWeight,
        CpuCapPercent = configuration.CpuCapPercent,
        Managed = true,
    };

    private async Task<DomainSummary> SummariseAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        (DomainStatus? status, bool responding) = await entry.GetStatusAsync(cancellationToken);
        DomainRecord record = entry.Record;
        DomainStates state = status?.State ?? DomainStates.None;
        if (record.Outcome is { } outcome)
        {
            state = DomainStates.Shutdown | (outcome.End is DomainEnd.Crash or DomainEnd.ProcessDied ? DomainStates.Crashed : DomainStates.None);
        }
        else if (entry.Ended)
        {
            state |= DomainStates.Dying;
        }

        return new DomainSummary
        {
            Id = entry.Id,
            Name = record.Name,
            Uuid = record.Uuid,
            MemoryBytes = status?.MemoryBytes ?? record.Spec.MemoryBytes,
            MaxMemoryBytes = status?.MaxMemoryBytes ?? record.Spec.MaxMemoryBytes,
            Vcpus = status?.Vcpus.Count(vcpu => vcpu.State != VcpuRunState.Offline) ?? record.Spec.Vcpus,
            MaxVcpus = record.Spec.MaxVcpus,
            State = state,
            ShutdownReason = status?.ShutdownReason,
            CpuTimeNanoseconds = status?.CpuTimeNanoseconds ?? 0,
            UptimeNanoseconds = status?.UptimeNanoseconds ?? 0,
            CpuEngine = status?.CpuEngine ?? record.Spec.CpuEngine,
            CpuWeight = record.Configuration.CpuWeight,
            CpuCapPercent = record.Configuration.CpuCapPercent,
            Managed = managed.TryFind(record.Name) is not null,
            Responding = responding,
            VncListen = status?.Build?.VncPort is null ? null : record.Spec.Vnc?.Listen,
            VncPort = status?.Build?.VncPort,
            VcpuDetails = status?.Vcpus ?? [],
            Devices = status?.Devices ?? [],
        };
    }
}
