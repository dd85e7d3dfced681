using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Daemon.Domains;

/// <summary>The host, as domain 0 and as the machine of the others (proc(5), sysfs).</summary>
internal sealed class HostFacts(TimeProvider clock)
{
    private readonly DateTimeOffset _started = clock.GetUtcNow();

    /// <summary>Memory a single domain may ask for: the machine's, or the control group's limit when that is less.</summary>
    public long DomainMemoryLimitBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    public HostInformation Describe()
    {
        (long total, long free) = ReadMemory();
        IReadOnlyDictionary<string, string> cpu = ReadCpu();
        int siblings = Number(cpu, "siblings", 1);
        int cores = Number(cpu, "cpu cores", 1);
        return new HostInformation
        {
            HostName = Environment.MachineName,
            KernelRelease = ReadLine("/proc/sys/kernel/osrelease"),
            KernelVersion = ReadLine("/proc/sys/kernel/version"),
            Machine = RuntimeInformation.OSArchitecture == Architecture.X64 ? "x86_64" : RuntimeInformation.OSArchitecture.ToString(),
            Cpus = Environment.ProcessorCount,
            Nodes = CountNodes(),
            CoresPerSocket = cores,
            ThreadsPerCore = Math.Max(1, siblings / cores),
            CpuMegahertz = cpu.TryGetValue("cpu MHz", out string? mhz)
                && double.TryParse(mhz, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? (int)value : 0,
            HardwareCapabilities = ReadCapabilities(),
            TotalMemoryBytes = total,
            FreeMemoryBytes = free,
            UptimeNanoseconds = Environment.TickCount64 * 1_000_000,
            ToolVersion = typeof(HostFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0",
            XendProcessId = Environment.ProcessId,
            XendStarted = _started,

            // As the domain process chooses (Shinano.Machine: EngineChoice): what generated code needs of the host.
            DefaultCpuEngine = Bmi2.X64.IsSupported && Avx.IsSupported ? "translator" : "interpreter",
        };
    }

    /// <summary>The host's line in the list of domains: what its memory leaves to it, and the time its CPUs were busy.</summary>
    public DomainSummary DescribeDomainZero(long memoryOfDomains)
    {
        (long total, _) = ReadMemory();
        long busy = ReadBusyNanoseconds();
        return new DomainSummary
        {
            Id = 0,
            Name = Configuration.DomainName.DomainZero,
            Uuid = Guid.Empty,
            MemoryBytes = Math.Max(0, total - memoryOfDomains),
            MaxMemoryBytes = null,
            Vcpus = Environment.ProcessorCount,
            MaxVcpus = Environment.ProcessorCount,
            State = DomainStates.Running,
            CpuTimeNanoseconds = busy,
            UptimeNanoseconds = Environment.TickCount64 * 1_000_000,
            VcpuDetails =
            [
                .. Enumerable.Range(0, Environment.ProcessorCount).Select(id => new VcpuStatus
                {
                    Id = id, State = VcpuRunState.Running, HostCpu = id, CpuTimeNanoseconds = busy / Environment.ProcessorCount,
                }),
            ],
        };
    }

    /// <summary>CPUID leaf 1 (edx, ecx), 0x80000001 (edx, ecx) and 7 (ebx), as xm info prints hw_caps.</summary>
    private static string ReadCapabilities()
    {
        if (!X86Base.IsSupported)
        {
            return "";
        }

        (_, _, int ecx1, int edx1) = X86Base.CpuId(1, 0);
        (_, _, int ecx8, int edx8) = X86Base.CpuId(unchecked((int)0x80000001), 0);
        (_, int ebx7, _, _) = X86Base.CpuId(7, 0);
        return string.Create(CultureInfo.InvariantCulture, $"{edx1:x8}:{ecx1:x8}:{edx8:x8}:{ecx8:x8}:{ebx7:x8}");
    }

    private static (long Total, long Available) ReadMemory()
    {
        long total = 0;
        long available = 0;
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 2 && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes))
            {
                total = words[0] == "MemTotal:" ? kibibytes << 10 : total;
                available = words[0] == "MemAvailable:" ? kibibytes << 10 : available;
            }
        }

        return (total, available);
    }

    /// <summary>proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal in ticks of 1/100 s.</summary>
    private static long ReadBusyNanoseconds()
    {
        string[] words = ReadLine("/proc/stat").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        long ticks = 0;
        for (int i = 1; i < words.Length && i <= 7; i++)
        {
            if (i is not (4 or 5) && long.TryParse(words[i], NumberStyles.None, CultureInfo.InvariantCulture, out long value))
            {
                ticks += value;
            }
        }

        return ticks * 10_000_000;
    }

    private static Dictionary<string, string> ReadCpu()
    {
        Dictionary<string, string> values = new(StringComparer.Ordinal);
        foreach (string line in File.ReadLines("/proc/cpuinfo"))
        {
            if (line.Length == 0)
            {
                break;
            }

            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                values[line[..colon].Trim()] = line[(colon + 1)..].Trim();
            }
        }

        return values;
    }

    private static int Number(IReadOnlyDictionary<string, string> values, string key, int whenMissing) =>
        values.TryGetValue(key, out string? text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value > 0
            ? value
            : whenMissing;

    private static int CountNodes()
    {
        const string nodes = "/sys/devices/system/node";
        return Directory.Exists(nodes) ? Math.Max(1, Directory.GetDirectories(nodes, "node*").Length) : 1;
    }

    private static string ReadLine(string path) => File.ReadLines(path).FirstOrDefault() ?? "";
}
