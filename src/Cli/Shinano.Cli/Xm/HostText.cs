using System.Globalization;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>xm info: what a Xen host prints, in its order and spelling.</summary>
internal static class HostText
{
    public static IEnumerable<string> Info(HostInformation host)
    {
        yield return Line("host", host.HostName);
        yield return Line("release", host.KernelRelease);
        yield return Line("version", host.KernelVersion);
        yield return Line("machine", host.Machine);
        yield return Line("nr_cpus", host.Cpus);
        yield return Line("max_cpu_id", host.Cpus - 1);
        yield return Line("nr_nodes", host.Nodes);
        yield return Line("cores_per_socket", host.CoresPerSocket);
        yield return Line("threads_per_core", host.ThreadsPerCore);
        yield return Line("cpu_mhz", host.CpuMegahertz);
        yield return Line("hw_caps", host.HardwareCapabilities);
        yield return Line("virt_caps", "pv");
        yield return Line("total_memory", host.TotalMemoryBytes >> 20);
        yield return Line("free_memory", host.FreeMemoryBytes >> 20);
        yield return Line("xen_major", 4);
        yield return Line("xen_minor", 17);
        yield return Line("xen_extra", "-shinano");
        yield return Line("xen_version", "4.17-shinano");
        yield return Line("xen_caps", "xen-3.0-x86_64");
        yield return Line("xen_scheduler", "credit");
        yield return Line("xen_pagesize", 4096);
        yield return Line("platform_params", "virt_start=0xffff800000000000");
        yield return Line("xen_changeset", $"shinano {host.ToolVersion}");
        yield return Line("xen_commandline", "");
        yield return Line("cpu_engine", host.DefaultCpuEngine);
        yield return Line("xend_pid", host.XendProcessId);
        yield return Line("xend_config_format", 4);
    }

    private static string Line(string key, string value) => $"{key,-23}: {value}".TrimEnd();

    private static string Line(string key, long value) => Line(key, value.ToString(CultureInfo.InvariantCulture));
}
