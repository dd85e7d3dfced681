using Shinano.Cli.Xentop;
using Shinano.Cli.Xm;
using Shinano.Cli.Xm.Verbs;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Tests;

/// <summary>Frozen outputs: people and scripts know these columns.</summary>
public sealed class TextTests
{
    private static readonly DomainSummary Zero = new()
    {
        Id = 0,
        Name = "Domain-0",
        Uuid = Guid.Empty,
        MemoryBytes = 6138616L << 10,
        Vcpus = 8,
        State = DomainStates.Running,
        CpuTimeNanoseconds = 28_700_400_000_000,
        UptimeNanoseconds = (((26 * 60) + 3) * 60 + 4) * 1_000_000_000L,
        VcpuDetails = [new VcpuStatus { Id = 0, State = VcpuRunState.Running, HostCpu = 0, CpuTimeNanoseconds = 123_456_000_000 }],
    };

    private static readonly DomainSummary Solaris = new()
    {
        Id = 24,
        Name = "solaris",
        Uuid = Guid.Parse("0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11"),
        MemoryBytes = 1047416L << 10,
        MaxMemoryBytes = 1048576L << 10,
        Vcpus = 3,
        State = DomainStates.Blocked,
        CpuTimeNanoseconds = 1_831_000_000_000,
        UptimeNanoseconds = 90_000_000_000,
        VcpuDetails =
        [
            new VcpuStatus { Id = 0, State = VcpuRunState.Blocked, HostCpu = 1, CpuTimeNanoseconds = 1_500_000_000 },
            new VcpuStatus { Id = 1, State = VcpuRunState.Paused, HostCpu = 1, Affinity = [1, 2] },
            new VcpuStatus { Id = 2, State = VcpuRunState.Offline },
        ],
    };

    private static readonly DomainSummary Defined = new()
    {
        Name = "web",
        Uuid = Guid.NewGuid(),
        MemoryBytes = 256L << 20,
        Vcpus = 1,
        Managed = true,
    };

    [Fact]
    public void Xm_list() => Assert.Equal(
        [
            "Name                                        ID   Mem VCPUs      State   Time(s)",
            "Domain-0                                     0  5994     8     r-----   28700.4",
            "solaris                                     24  1022     3     -b----    1831.0",
            "web                                              256     1",
        ],
        DomainText.List([Zero, Solaris, Defined]));

    [Fact]
    public void Xm_vcpu_list() => Assert.Equal(
        [
            "Name                                ID  VCPU   CPU State   Time(s) Affinity",
            "Domain-0                             0     0     0   r--     123.5 all",
            "solaris                             24     0     1   -b-       1.5 all",
            "solaris                             24     1     1   --p       0.0 1-2",
            "solaris                             24     2     -   --p       0.0 all",
        ],
        DomainText.Vcpus([Zero, Solaris]));

    [Fact]
    public void Xm_sched_credit() => Assert.Equal(
        [
            "Name                                ID Weight  Cap",
            "Domain-0                             0    256    0",
            "solaris                             24    512  150",
        ],
        DomainText.Credits([Zero, Solaris with { CpuWeight = 512, CpuCapPercent = 150 }]));

    [Fact]
    public void Xm_uptime() => Assert.Equal(
        [
            "Name                                ID Uptime",
            "Domain-0                             0 1 day, 2:03:04",
            "solaris                             24 0:01:30",
        ],
        DomainText.Uptimes([Zero, Solaris]));

    [Fact]
    public void Xm_info() => Assert.Equal(
        [
            "host                   : solaris-host", "release                : 6.1.0", "version                : #1 SMP", "machine                : x86_64",
            "nr_cpus                : 8", "max_cpu_id             : 7", "nr_nodes               : 1", "cores_per_socket       : 4",
            "threads_per_core       : 2", "cpu_mhz                : 2660", "hw_caps                : 1:2:3:4:5", "virt_caps              : pv",
            "total_memory           : 8191", "free_memory            : 1", "xen_major              : 4", "xen_minor              : 17",
            "xen_extra              : -shinano", "xen_version            : 4.17-shinano", "xen_caps               : xen-3.0-x86_64",
            "xen_scheduler          : credit", "xen_pagesize           : 4096", "platform_params        : virt_start=0xffff800000000000",
            "xen_changeset          : shinano 1.0.0", "xen_commandline        :", "cpu_engine             : interpreter",
            "xend_pid               : 582", "xend_config_format     : 4",
        ],
        HostText.Info(Host));

    [Fact]
    public void Xentop()
    {
        TopSample before = new(0, Host, [Zero, Solaris with { CpuTimeNanoseconds = 1_830_979_000_000 }]);
        TopSample sample = new(3_000_000_000, Host, [Zero, Solaris]);
        Assert.Equal(
            [
                "xentop - 18:26:01   Xen 4.17-shinano",
                "2 domains: 1 running, 1 blocked, 0 paused, 0 crashed, 0 dying, 0 shutdown",
                "Mem: 8388092k total, 8386800k used, 1292k free    CPUs: 8 @ 2660MHz",
            ],
            TopText.Head(sample, new DateTime(2026, 1, 1, 18, 26, 1)));
        Assert.Equal(
            [
                "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR SSID",
                "  Domain-0 r-----      28700    0.0    6138616   73.2   no limit       n/a     8    0        0        0    0        0        0        0    0",
                "   solaris -b----       1831    0.7    1047416   12.5    1048576      12.5     3    0        0        0    0        0        0        0    0",
            ],
            new TopView(FullNames: false, ShowVcpus: false).Body(sample, before));
    }

    [Theory]
    [InlineData(DomainStates.None, "------")]
    [InlineData(DomainStates.Paused, "--p---")]
    [InlineData(DomainStates.Shutdown | DomainStates.Crashed, "---sc-")]
    [InlineData(DomainStates.Dying | DomainStates.Running, "r----d")]
    public void States(DomainStates state, string expected) => Assert.Equal(expected, DomainText.State(state));

    [Theory]
    [InlineData("64", 64L << 20)]
    [InlineData("64m", 64L << 20)]
    [InlineData("2G", 2L << 30)]
    [InlineData("1024k", 1L << 20)]
    [InlineData("4096b", 4096)]
    public void Memory_is_in_mebibytes_unless_it_says_otherwise(string text, long expected) => Assert.Equal(expected, ResourceVerbs.ParseMemory(text));

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("-1")]
    [InlineData("1.5g")]
    [InlineData("99999999999999999999")]
    [InlineData("9223372036854775807")]
    [InlineData("10q")]
    public void What_is_no_amount_of_memory_is_refused(string text) => Assert.Throws<XendFailureException>(() => ResourceVerbs.ParseMemory(text));

    [Fact]
    public void Ends_have_exit_codes_of_their_own()
    {
        int[] codes = [.. Enum.GetValues<DomainEnd>().Select(ExitCodes.Of)];
        Assert.Equal([0, 20, 21, 22, 23, 26, 24, 25], codes);
    }

    private static HostInformation Host => new()
    {
        HostName = "solaris-host",
        KernelRelease = "6.1.0",
        KernelVersion = "#1 SMP",
        Machine = "x86_64",
        Cpus = 8,
        Nodes = 1,
        CoresPerSocket = 4,
        ThreadsPerCore = 2,
        CpuMegahertz = 2660,
        HardwareCapabilities = "1:2:3:4:5",
        TotalMemoryBytes = 8388092L << 10,
        FreeMemoryBytes = 1292L << 10,
        UptimeNanoseconds = 0,
        ToolVersion = "1.0.0",
        XendProcessId = 582,
        XendStarted = DateTimeOffset.UnixEpoch,
        DefaultCpuEngine = "interpreter",
    };
}
