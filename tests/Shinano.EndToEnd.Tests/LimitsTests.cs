using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Shinano.EndToEnd.Tests;

/// <summary>Memory, vCPUs and the share of the CPUs of a running domain, changed from outside and followed by Debian's kernel.</summary>
public sealed class LimitsTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    private const string CurrentKibibytes = "/sys/devices/system/xen_memory/xen_memory0/info/current_kb";
    private const string OnlineCpus = "/sys/devices/system/cpu/online";

    /// <summary>MiB of the guest's memory that nothing used before, and what else comes and goes in the process.</summary>
    private const int Unused = 48;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_domain_process_gives_memory_back_and_the_guest_keeps_what_is_in_the_rest()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("bal", $"memory = 512\nvcpus = 2\n{files.Boot}");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await SayAsync(
            xm, "mkdir -p /mnt; mount -t tmpfs -o size=400m none /mnt; dd if=/dev/urandom of=/mnt/kept bs=1M count=64; md5sum /mnt/kept >/sum; echo ma''de=1", "made=");
        int process = await ProcessAsync(host, "bal");
        const string Fill = "dd if=/dev/zero of=/mnt/fill bs=1M count=330; rm /mnt/fill";
        await SayAsync(xm, $"{Fill}; echo fi''lled=1", "filled=");
        int full = ResidentMebibytes(process);

        await host.SucceedAsync("xm", "mem-set", "bal", "262144k");
        await SayAsync(xm, $"until [ $(cat {CurrentKibibytes}) = 262144 ]; do :; done; md5sum -c /sum && echo do''wn=1", "down=");
        int small = ResidentMebibytes(process);
        Assert.InRange(full - small, 256 - Unused, 256 + Unused);
        Assert.Matches(@"bal\s+\d+\s+256\s", (await host.SucceedAsync("xm", "list", "bal")).Output);
        Assert.Matches(@"bal .* 262144 +[\d.]+ +524288 ", (await host.SucceedAsync("xentop", "-b", "-i", "1")).Output);

        await host.SucceedAsync("xm", "mem-set", "bal", "512m");
        await SayAsync(xm, $"until [ $(cat {CurrentKibibytes}) = 524288 ]; do :; done; md5sum -c /sum && {Fill}; md5sum -c /sum && echo u''p=1", "up=");
        Assert.InRange(ResidentMebibytes(process) - small, 256 - (2 * Unused), 256 + Unused);
        Assert.Matches(@"bal\s+\d+\s+512\s", (await host.SucceedAsync("xm", "list", "bal")).Output);

        Assert.Contains("512 MiB", await RefusedAsync(host, 1, "mem-set", "bal", "513"), StringComparison.Ordinal);
        Assert.Contains("out of range", await RefusedAsync(host, 1, "mem-set", "bal", "0"), StringComparison.Ordinal);
        Assert.Contains("not an amount of memory", await RefusedAsync(host, 1, "mem-set", "bal", "1x"), StringComparison.Ordinal);
        Assert.Contains("built for at most 512 MiB", await RefusedAsync(host, 1, "mem-max", "bal", "1g"), StringComparison.Ordinal);
        await host.SucceedAsync("xm", "mem-max", "bal", "300");
        Assert.Contains("300 MiB", await RefusedAsync(host, 1, "mem-set", "bal", "301"), StringComparison.Ordinal);
        await EndAsync(host, xm, "bal");
    }

    [Fact]
    public async Task Vcpus_come_and_go_and_a_domain_that_started_small_grows()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("hot", $"memory = 192\nmaxmem = 320\nvcpus = 2\nmaxvcpus = 4\ncpu_weight = 300\ncap = 350\n{files.Boot}");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await SayAsync(xm, Until("0-1") + "echo sta''rted=1", "started=");
        Assert.Equal(2, await OnlineAsync(host));
        await host.SucceedAsync("xm", "vcpu-set", "hot", "1");
        await SayAsync(xm, Until("0") + "echo l''ess=1", "less=");
        Assert.Equal(1, await OnlineAsync(host));

        // The kernel leaves it to udev to take new vCPUs into use.
        await host.SucceedAsync("xm", "vcpu-set", "hot", "4");
        await SayAsync(
            xm,
            "for c in 1 2 3; do o=/sys/devices/system/cpu/cpu$c/online; until [ -e $o ]; do :; done; until [ $(cat $o) = 1 ]; do echo 1 >$o; done; done; "
            + Until("0-3") + "echo mo''re=1",
            "more=");
        Assert.Equal(4, await OnlineAsync(host));
        Assert.Contains("1 to 4 vCPUs", await RefusedAsync(host, 1, "vcpu-set", "hot", "5"), StringComparison.Ordinal);
        Assert.Contains("1 to 4 vCPUs", await RefusedAsync(host, 1, "vcpu-set", "hot", "0"), StringComparison.Ordinal);
        await RefusedAsync(host, 2, "vcpu-set", "hot", "many");

        await host.SucceedAsync("xm", "mem-set", "hot", "320");
        await SayAsync(xm, $"until [ $(cat {CurrentKibibytes}) = 327680 ]; do :; done; echo gr''own=1", "grown=");
        Assert.Matches(@"hot\s+\d+\s+320\s+4\s", (await host.SucceedAsync("xm", "list", "hot")).Output);
        await CreditAsync(host, xm);
        await PinAsync(host);
        await EndAsync(host, xm, "hot");
    }

    /// <summary>Weight and cap are shown, changed, refused, and there again after xend's death. What they do to the guest's speed is bench/limits'.</summary>
    private static async Task CreditAsync(Host host, Process xm)
    {
        Assert.Matches(@"Name +ID Weight  Cap\nDomain-0 +0 +256 +0\nhot +\d+ +300 +350\n", (await host.SucceedAsync("xm", "sched-credit")).Output);
        await host.SucceedAsync("xm", "sched-credit", "-d", "hot", "-w", "512", "-c", "50");
        await SayAsync(xm, "i=0; while [ $i != 20000 ]; do i=$((i+1)); done; echo ca''pped=1", "capped=");
        Assert.Contains("1 to 65535", await RefusedAsync(host, 1, "sched-credit", "-d", "hot", "-w", "0"), StringComparison.Ordinal);
        Assert.Contains("0 to 400", await RefusedAsync(host, 1, "sched-credit", "-d", "hot", "-c", "401"), StringComparison.Ordinal);
        await RefusedAsync(host, 1, "sched-credit", "-d", "Domain-0", "-w", "1");
        await RefusedAsync(host, 2, "sched-credit", "-w", "1");
        await host.KillDaemonAsync();
        Assert.Matches(@"hot +\d+ +512 +50\n", (await host.SucceedAsync("xm", "sched-credit", "-d", "hot")).Output);
        await SayAsync(xm, "echo ad''opted=1", "adopted=");
        await host.SucceedAsync("xm", "sched-credit", "-d", "hot", "-c", "0");
        Assert.Matches(@"hot +\d+ +512 +0\n", (await host.SucceedAsync("xm", "sched-credit", "-d", "hot")).Output);
    }

    private static async Task PinAsync(Host host)
    {
        int process = await ProcessAsync(host, "hot");
        int first = FirstCpu(File.ReadAllText("/proc/self/status"));
        await host.SucceedAsync("xm", "vcpu-pin", "hot", "1", $"{first}");
        Assert.Equal(["all", $"{first}", "all", "all"], await AffinityAsync(host));
        using JsonDocument list = JsonDocument.Parse((await host.SucceedAsync("xm", "vcpu-list", "hot", "--json")).Output);
        int thread = list.RootElement[0].GetProperty("vcpuDetails")[1].GetProperty("threadId").GetInt32();
        string status = await File.ReadAllTextAsync($"/proc/{process}/task/{thread}/status", Cancellation);
        Assert.Matches($@"Cpus_allowed_list:\s+{first}\n", status);
        await host.SucceedAsync("xm", "vcpu-pin", "hot", "all", "all");
        Assert.Equal(["all", "all", "all", "all"], await AffinityAsync(host));
        Assert.Contains("is not there", await RefusedAsync(host, 1, "vcpu-pin", "hot", "0", "1023"), StringComparison.Ordinal);
        Assert.Contains("a list of CPUs", await RefusedAsync(host, 1, "vcpu-pin", "hot", "0", "3-1"), StringComparison.Ordinal);
        Assert.Contains("vCPUs 0 to 3", await RefusedAsync(host, 1, "vcpu-pin", "hot", "4", "all"), StringComparison.Ordinal);
        await RefusedAsync(host, 2, "vcpu-pin", "hot", "one", "all");
    }

    private static string Until(string online) => $"until [ $(cat {OnlineCpus}) = {online} ]; do :; done; ";

    private static int FirstCpu(string status) => int.Parse(
        status.Split('\n').Single(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split('\t', '-', ',')[1], CultureInfo.InvariantCulture);

    private static async Task SayAsync(Process xm, string command, string until)
    {
        await xm.StandardInput.WriteLineAsync(command.AsMemory(), Cancellation);
        await xm.StandardInput.FlushAsync(Cancellation);
        await GuestConsole.ReadUntilAsync(xm, until);
    }

    private static async Task EndAsync(Host host, Process xm, string domain)
    {
        await host.SucceedAsync("xm", "destroy", domain);
        await xm.WaitForExitAsync(Cancellation);
    }

    private static async Task<string> RefusedAsync(Host host, int code, params string[] arguments)
    {
        ToolResult result = await host.XmAsync(arguments);
        Assert.True(result.ExitCode == code, result.ToString());
        return result.Error;
    }

    private static async Task<int> ProcessAsync(Host host, string domain)
    {
        using JsonDocument details = JsonDocument.Parse((await host.SucceedAsync("xm", "list", "-l", domain)).Output);
        return details.RootElement[0].GetProperty("processId").GetInt32();
    }

    private static async Task<int> OnlineAsync(Host host) =>
        (await VcpusAsync(host)).Count(row => row[4] is "r--" or "-b-" or "---");

    private static async Task<string[]> AffinityAsync(Host host) => [.. (await VcpusAsync(host)).Select(row => row[6])];

    private static async Task<IEnumerable<string[]>> VcpusAsync(Host host) =>
        (await host.SucceedAsync("xm", "vcpu-list", "hot")).Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    /// <summary>Shared memory that the process has resident, which is the guest's and, some of it, translated code: proc(5), status: RssShmem.</summary>
    private static int ResidentMebibytes(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").Single(one => one.StartsWith("RssShmem:", StringComparison.Ordinal));
        int mebibytes = int.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) >> 10;
        TestContext.Current.TestOutputHelper?.WriteLine($"resident: {mebibytes} MiB");
        return mebibytes;
    }
}
