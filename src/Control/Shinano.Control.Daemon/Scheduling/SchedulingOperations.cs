using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Scheduling;
using Shinano.Control.Daemon.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Scheduling;

/// <summary>
/// Weight, cap and affinity of running domains: in the domain process first, then in the record, where restarts, saved domains and the next xend find them. Every
/// method throws <see cref="DomainFailureException"/> for what cannot be done.
/// </summary>
internal sealed class SchedulingOperations(ILogger<SchedulingOperations> logger)
{
    /// <summary><c>xm sched-credit</c>; ranges and messages as libxl's sched_credit_domain_set has them.</summary>
    public async Task SetCreditAsync(DomainEntry entry, CreditRequest request, CancellationToken cancellationToken)
    {
        if (request.Weight is < 1 or > DomainConfiguration.MaximumCpuWeight)
        {
            throw Invalid($"weight {request.Weight} is out of range: 1 to {DomainConfiguration.MaximumCpuWeight}");
        }

        int mostCap = entry.Record.Spec.MaxVcpus * 100;
        if (request.CapPercent < 0 || request.CapPercent > mostCap)
        {
            throw Invalid($"cap {request.CapPercent} is out of range: 0 to {mostCap} for {entry.Record.Spec.MaxVcpus} vCPUs");
        }

        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            if (request.CapPercent is { } cap)
            {
                await CallAsync(entry, (process, token) => process.SetCpuCapAsync(cap, token), cancellationToken);
            }

            Change(entry, configuration => configuration with
            {
                CpuWeight = request.Weight ?? configuration.CpuWeight,
                CpuCapPercent = request.CapPercent ?? configuration.CpuCapPercent,
            });
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary><c>xm vcpu-pin</c>.</summary>
    public async Task PinAsync(DomainEntry entry, PinRequest request, CancellationToken cancellationToken)
    {
        int vcpus = entry.Record.Spec.MaxVcpus;
        if (request.Vcpu is { } number && (number < 0 || number >= vcpus))
        {
            throw Invalid($"domain '{entry.Record.Name}' has vCPUs 0 to {vcpus - 1}, not {number}");
        }

        IReadOnlyList<int> cpus = CpuList.TryParse(request.Cpus) ?? throw Invalid($"'{request.Cpus}' is not {CpuList.Form}");
        DemandHostHas(cpus);
        await entry.Gate.WaitAsync(cancellationToken);
        try
        {
            IReadOnlyList<int>[] all = [.. Enumerable.Range(0, vcpus).Select(vcpu => entry.Record.Configuration.VcpuAffinity.ElementAtOrDefault(vcpu) ?? [])];
            foreach (int vcpu in request.Vcpu is { } one ? [one] : Enumerable.Range(0, vcpus))
            {
                await CallAsync(entry, (process, token) => process.SetAffinityAsync(vcpu, cpus, token), cancellationToken);
                all[vcpu] = cpus;
            }

            Change(entry, configuration => configuration with { VcpuAffinity = all });
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>Tells a domain that was taken over from an earlier xend what its record says, should that have ended between the two.</summary>
    public async Task ApplyAsync(DomainEntry entry, CancellationToken cancellationToken)
    {
        DomainConfiguration configuration = entry.Record.Configuration;
        try
        {
            await CallAsync(entry, (process, token) => process.SetCpuCapAsync(configuration.CpuCapPercent, token), cancellationToken);
            foreach ((int vcpu, IReadOnlyList<int> cpus) in configuration.VcpuAffinity.Index().Take(entry.Record.Spec.MaxVcpus))
            {
                await CallAsync(entry, (process, token) => process.SetAffinityAsync(vcpu, cpus, token), cancellationToken);
            }
        }
        catch (DomainFailureException e)
        {
            logger.LogWarning("domain {Id} '{Name}' was not told its cap and CPUs: {Message}", entry.Id, entry.Record.Name, e.Message);
        }
    }

    /// <summary>Every CPU of a list is one that domain processes may use.</summary>
    public static void DemandHostHas(IReadOnlyList<int> cpus)
    {
        IReadOnlyList<int> there = ThreadAffinity.OfCurrentThread();
        if (cpus.Except(there).ToArray() is { Length: > 0 } missing)
        {
            throw Invalid($"CPU {CpuList.Format(missing)} is not there: this host has {CpuList.Format(there)} for domains");
        }
    }

    private static DomainFailureException Invalid(string message) => new(DomainFailureCode.InvalidArgument, message);

    private static Task CallAsync(DomainEntry entry, Func<IDomainProcess, CancellationToken, Task> call, CancellationToken cancellationToken) =>
        entry.RequireConnection().CallAsync(call, DomainEntry.QuickCall, cancellationToken);

    private static void Change(DomainEntry entry, Func<DomainConfiguration, DomainConfiguration> change) =>
        entry.Update(record => record with { Configuration = change(record.Configuration) });
}
