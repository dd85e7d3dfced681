using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;

namespace Shinano.Control.Daemon.Domains;

/// <summary>What can be asked of a running domain. Every method throws <see cref="DomainFailureException"/> for what cannot be done.</summary>
internal sealed class DomainOperations(
    DomainRegistry registry, DomainLifecycle lifecycle, DomainTree tree, DomainLogs logs, ManagedDomains managed, TimeProvider clock)
{
    private static readonly TimeSpan DumpPatience = TimeSpan.FromMinutes(10);

    public Task PauseAsync(string domain, CancellationToken cancellationToken) =>
        CallAsync(domain, (process, token) => process.PauseAsync(token), cancellationToken);

    public Task UnpauseAsync(string domain, CancellationToken cancellationToken) =>
        CallAsync(domain, (process, token) => process.UnpauseAsync(token), cancellationToken);

    public Task DestroyAsync(string domain, CancellationToken cancellationToken) => lifecycle.DestroyAsync(registry.Find(domain), cancellationToken);

    public Task TriggerAsync(string domain, TriggerRequest request, CancellationToken cancellationToken)
    {
        DomainEntry entry = FindRunning(domain);
        if (request.Vcpu < 0 || request.Vcpu >= entry.Record.Spec.MaxVcpus)
        {
            throw Invalid($"domain '{entry.Record.Name}' has vCPUs 0 to {entry.Record.Spec.MaxVcpus - 1}, not {request.Vcpu}");
        }

        return CallAsync(domain, (process, token) => process.SendTriggerAsync(request.Trigger, request.Vcpu, token), cancellationToken);
    }

    public Task SendDebugKeysAsync(string domain, string keys, CancellationToken cancellationToken) =>
        CallAsync(domain, (process, token) => process.SendDebugKeysAsync(keys, token), cancellationToken);

    public void Shutdown(string domain, string reason)
    {
        if (reason is not ("poweroff" or "halt" or "reboot"))
        {
            throw Invalid($"'{reason}' is not one of poweroff, halt, reboot");
        }

        DomainEntry entry = FindRunning(domain);
        tree.RequestShutdown(entry.Id, reason);
    }

    public void SendSysRq(string domain, string keys)
    {
        if (keys.Length != 1 || !char.IsAsciiLetterOrDigit(keys[0]))
        {
            throw Invalid($"'{keys}' is not a SysRq letter");
        }

        tree.RequestSysRq(FindRunning(domain).Id, keys[0]);
    }

    public async Task SetMemoryAsync(string domain, long bytes, CancellationToken cancellationToken)
    {
        DomainEntry entry = FindRunning(domain);
        (DomainStatus? status, _) = await entry.GetStatusAsync(cancellationToken);
        long maximum = status?.MaxMemoryBytes ?? entry.Record.Spec.MaxMemoryBytes;
        if (bytes <= 0 || bytes > maximum)
        {
            throw Invalid($"{bytes >> 20} MiB is out of range: domain '{entry.Record.Name}' may have 1 to {maximum >> 20} MiB (xm mem-max)");
        }

        tree.SetMemoryTarget(entry.Id, bytes);
    }

    public async Task SetMaximumMemoryAsync(string domain, long bytes, CancellationToken cancellationToken)
    {
        DomainEntry entry = FindRunning(domain);
        if (bytes < 1 << 20)
        {
            throw Invalid("a maximum below 1 MiB makes no sense");
        }

        await CallAsync(domain, (process, token) => process.SetMaxMemoryAsync(bytes, token), cancellationToken);
        tree.SetMemoryMaximum(entry.Id, bytes);
    }

    public void SetVcpus(string domain, int vcpus)
    {
        DomainEntry entry = FindRunning(domain);
        int maximum = entry.Record.Spec.MaxVcpus;
        if (vcpus < 1 || vcpus > maximum)
        {
            throw Invalid($"{vcpus} is out of range: domain '{entry.Record.Name}' may have 1 to {maximum} vCPUs (maxvcpus)");
        }

        tree.SetVcpus(entry.Id, vcpus, maximum);
    }

    public async Task RenameAsync(string domain, string name, CancellationToken cancellationToken)
    {
        if (DomainName.Check(name) is { } problem)
        {
            throw Invalid($"'{name}': {problem}");
        }

        DomainEntry entry = registry.Find(domain);
        if (managed.TryFind(name) is not null || managed.TryFind(entry.Record.Name) is not null)
        {
            throw new DomainFailureException(
                DomainFailureCode.WrongState, $"'{entry.Record.Name}' or '{name}' is a managed domain: change its definition with xm new");
        }

        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            registry.Rename(entry, name, entry.Record.Uuid);
            tree.Rename(entry.Record.Uuid, entry.Record);
            if (entry.Connection is { } connection)
            {
                await connection.CallAsync((process, token) => process.SetNameAsync(name, token), DomainEntry.QuickCall, cancellationToken);
            }
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    public async Task<DumpResult> DumpCoreAsync(string domain, DumpRequest request, CancellationToken cancellationToken)
    {
        DomainEntry entry = FindRunning(domain);
        string path = request.Path ?? logs.Core(entry.Record.Name, entry.Id, clock.GetLocalNow());
        await entry.RequireConnection().CallAsync((process, token) => process.DumpCoreAsync(path, token), DumpPatience, cancellationToken);
        DumpResult result = new(path, new FileInfo(path).Length);
        if (request.Crash)
        {
            await lifecycle.HandleShutdownAsync(entry, ShutdownReason.Crash);
        }

        return result;
    }

    /// <summary>Messages of the hypervisor cores, one domain after the other.</summary>
    public async Task<string> ReadHypervisorLogAsync(string? domain, bool clear, CancellationToken cancellationToken)
    {
        IEnumerable<DomainEntry> entries = domain is null ? registry.All.Where(entry => entry.Connection is not null) : [FindRunning(domain)];
        List<string> texts = [];
        foreach (DomainEntry entry in entries)
        {
            string text = await entry.RequireConnection().CallAsync(
                (process, token) => process.GetHypervisorLogAsync(clear, token), DomainEntry.QuickCall, cancellationToken);
            texts.AddRange(text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                // A guest's own lines (console_io) come with their prefix, as Xen prints them.
                .Select(line => line.StartsWith('(') ? line : $"(XEN) d{entry.Id} {line}"));
        }

        return string.Concat(texts.Select(line => line + "\n"));
    }

    public async Task<IReadOnlyList<PerfCounter>> ReadCountersAsync(string domain, CancellationToken cancellationToken) =>
        await FindRunning(domain).RequireConnection().CallAsync(
            (process, token) => process.GetPerfCountersAsync(token), DomainEntry.QuickCall, cancellationToken);

    public async Task<DomainPerformance> ReadPerformanceAsync(string domain, CancellationToken cancellationToken)
    {
        DomainEntry entry = FindRunning(domain);
        DomainPerformance performance = await entry.RequireConnection().CallAsync(
            (process, token) => process.GetPerformanceAsync(token), DomainEntry.QuickCall, cancellationToken);
        return performance.Version == DomainPerformance.CurrentVersion ? performance : throw new DomainFailureException(
            DomainFailureCode.NotSupported,
            $"domain '{entry.Record.Name}' has counters of version {performance.Version}, xend reads version {DomainPerformance.CurrentVersion}");
    }

    private static DomainFailureException Invalid(string message) => new(DomainFailureCode.InvalidArgument, message);

    /// <summary>A domain that has a process; a named failure otherwise.</summary>
    public DomainEntry FindRunning(string domain)
    {
        if (registry.TryFind(domain) is null && managed.TryFind(domain) is not null)
        {
            throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{domain}' is not running: xm start starts it");
        }

        DomainEntry entry = registry.Find(domain);
        if (entry.Record.Phase == DomainPhase.Starting)
        {
            throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{entry.Record.Name}' is still being built");
        }

        return entry.Ended || entry.Connection is null
            ? throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{entry.Record.Name}' has ended")
            : entry;
    }

    private Task CallAsync(string domain, Func<IDomainProcess, CancellationToken, Task> call, CancellationToken cancellationToken) =>
        FindRunning(domain).RequireConnection().CallAsync(call, DomainEntry.QuickCall, cancellationToken);
}
