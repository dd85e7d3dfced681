using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration.Scheduling;

namespace Shinano.Cli.Xm;

/// <summary>Domains in the classic columns.</summary>
internal static class DomainText
{
    /// <summary>xm list: name, id, MiB, vCPUs, state, seconds.</summary>
    public static IEnumerable<string> List(IEnumerable<DomainSummary> domains)
    {
        yield return Row("Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
        foreach (DomainSummary domain in domains)
        {
            yield return Row(
                domain.Name,
                domain.Id?.ToString(CultureInfo.InvariantCulture) ?? "",
                (domain.MemoryBytes >> 20).ToString(CultureInfo.InvariantCulture),
                domain.Vcpus.ToString(CultureInfo.InvariantCulture),
                domain.Id is null ? "" : State(domain.State),
                domain.Id is null ? "" : Seconds(domain.CpuTimeNanoseconds));
        }

        static string Row(string name, string id, string memory, string vcpus, string state, string time) =>
            $"{name,-40} {id,5} {memory,5} {vcpus,5} {state,10} {time,9}".TrimEnd();
    }

    /// <summary>xm vcpu-list.</summary>
    public static IEnumerable<string> Vcpus(IEnumerable<DomainSummary> domains)
    {
        yield return Row("Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity");
        foreach (DomainSummary domain in domains)
        {
            foreach (VcpuStatus vcpu in domain.VcpuDetails)
            {
                bool offline = vcpu.State == VcpuRunState.Offline;
                yield return Row(
                    domain.Name,
                    domain.Id?.ToString(CultureInfo.InvariantCulture) ?? "",
                    vcpu.Id.ToString(CultureInfo.InvariantCulture),
                    offline || vcpu.HostCpu < 0 ? "-" : vcpu.HostCpu.ToString(CultureInfo.InvariantCulture),
                    vcpu.State switch { VcpuRunState.Running => "r--", VcpuRunState.Blocked => "-b-", VcpuRunState.Runnable => "---", _ => "--p" },
                    Seconds(vcpu.CpuTimeNanoseconds),
                    CpuList.Format(vcpu.Affinity));
            }
        }

        static string Row(string name, string id, string vcpu, string cpu, string state, string time, string affinity) =>
            $"{name,-32} {id,5} {vcpu,5} {cpu,5} {state,5} {time,9} {affinity}";
    }

    /// <summary>xm sched-credit.</summary>
    public static IEnumerable<string> Credits(IEnumerable<DomainSummary> domains)
    {
        yield return $"{"Name",-33} {"ID",4} {"Weight",6} {"Cap",4}";
        foreach (DomainSummary domain in domains)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{domain.Name,-33} {domain.Id,4} {domain.CpuWeight,6} {domain.CpuCapPercent,4}");
        }
    }

    /// <summary>xm uptime.</summary>
    public static IEnumerable<string> Uptimes(IEnumerable<DomainSummary> domains)
    {
        yield return $"{"Name",-33} {"ID",4} Uptime";
        foreach (DomainSummary domain in domains)
        {
            yield return $"{domain.Name,-33} {domain.Id?.ToString(CultureInfo.InvariantCulture) ?? "",4} {Uptime(domain.UptimeNanoseconds)}";
        }
    }

    /// <summary>The six letters of the classic list: running, blocked, paused, shutdown, crashed, dying.</summary>
    public static string State(DomainStates state) => string.Create(6, state, static (span, value) =>
    {
        const string Letters = "rbpscd";
        for (int i = 0; i < Letters.Length; i++)
        {
            span[i] = ((int)value & (1 << i)) != 0 ? Letters[i] : '-';
        }
    });

    public static string Seconds(long nanoseconds) => (nanoseconds / 1e9).ToString("F1", CultureInfo.InvariantCulture);

    private static string Uptime(long nanoseconds)
    {
        TimeSpan time = TimeSpan.FromMilliseconds(nanoseconds / 1_000_000);
        string clock = string.Create(CultureInfo.InvariantCulture, $"{time.Hours}:{time.Minutes:00}:{time.Seconds:00}");
        return time.Days switch
        {
            0 => clock,
            1 => $"1 day, {clock}",
            _ => string.Create(CultureInfo.InvariantCulture, $"{time.Days} days, {clock}"),
        };
    }
}
