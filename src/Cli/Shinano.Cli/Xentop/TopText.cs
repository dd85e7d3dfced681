using System.Globalization;
using Shinano.Cli.Xm;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xentop;

/// <summary>xentop's lines: the classic head and columns. Network columns are 0 until domains have such devices.</summary>
internal static class TopText
{
    public const string Columns =
        "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR SSID";

    public static IEnumerable<string> Head(TopSample sample, DateTime now)
    {
        HostInformation host = sample.Host;
        int Count(DomainStates state) => sample.Domains.Count(domain => domain.State.HasFlag(state));
        yield return Format($"xentop - {now:HH:mm:ss}   Xen 4.17-shinano");
        yield return Format(
            $"{sample.Domains.Count} domains: {Count(DomainStates.Running)} running, {Count(DomainStates.Blocked)} blocked, {Count(DomainStates.Paused)} paused, {Count(DomainStates.Crashed)} crashed, {Count(DomainStates.Dying)} dying, {Count(DomainStates.Shutdown)} shutdown");
        long used = host.TotalMemoryBytes - host.FreeMemoryBytes;
        yield return Format(
            $"Mem: {host.TotalMemoryBytes >> 10}k total, {used >> 10}k used, {host.FreeMemoryBytes >> 10}k free    CPUs: {host.Cpus} @ {host.CpuMegahertz}MHz");
    }

    /// <summary>One line per domain. CPU(%) is the share of one CPU since <paramref name="before"/>; 0 without it.</summary>
    public static IEnumerable<string> Rows(TopSample sample, TopSample? before, bool fullNames = false)
    {
        Dictionary<int, long> earlier = before?.Domains.ToDictionary(domain => domain.Id!.Value, domain => domain.CpuTimeNanoseconds) ?? [];
        foreach (DomainSummary domain in sample.Domains)
        {
            double percent = before is not null && sample.Timestamp > before.Timestamp && earlier.TryGetValue(domain.Id!.Value, out long then)
                ? Math.Max(0, domain.CpuTimeNanoseconds - then) * 100.0 / (sample.Timestamp - before.Timestamp)
                : 0;
            yield return Row(domain, percent, sample.Host.TotalMemoryBytes, fullNames);
        }
    }

    /// <summary>The vCPU lines of a domain (-v).</summary>
    public static string Vcpus(DomainSummary domain) =>
        "VCPUs(sec): " + string.Join(' ', domain.VcpuDetails.Select(vcpu => Format($"{vcpu.Id,4}: {vcpu.CpuTimeNanoseconds / 1_000_000_000,10}s")));

    private static string Row(DomainSummary domain, double cpuPercent, long total, bool fullNames)
    {
        string name = fullNames || domain.Name.Length <= 10 ? domain.Name : domain.Name[..10];
        string maximum = domain.MaxMemoryBytes is { } max ? Format($"{max >> 10}") : "no limit";
        string maximumPercent = domain.MaxMemoryBytes is { } ceiling ? Percent(ceiling, total) : "n/a";
        return Format(
            $"{name,10} {DomainText.State(domain.State)} {domain.CpuTimeNanoseconds / 1_000_000_000,10} {cpuPercent,6:F1} {domain.MemoryBytes >> 10,10} {Percent(domain.MemoryBytes, total),6} {maximum,10} {maximumPercent,9} {domain.Vcpus,5} {0,4} {0,8} {0,8} {Disks(domain),4} {Sum(domain, "oo_req"),8} {Sum(domain, "rd_req"),8} {Sum(domain, "wr_req"),8} {0,4}");
    }

    private static int Disks(DomainSummary domain) => domain.Devices.Count(device => device.Kind == "vbd");

    private static long Sum(DomainSummary domain, string counter) =>
        domain.Devices.Where(device => device.Kind == "vbd").SelectMany(device => device.Counters).Where(one => one.Name == counter).Sum(one => one.Value);

    private static string Percent(long part, long whole) => Format($"{(whole == 0 ? 0 : part * 100.0 / whole):F1}");

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
