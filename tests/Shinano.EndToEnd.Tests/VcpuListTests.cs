using System.Diagnostics;
using System.Globalization;

namespace Shinano.EndToEnd.Tests;

/// <summary>What <c>xm vcpu-list</c> says of a domain's vCPUs and what the guest says itself.</summary>
public sealed class VcpuListTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Agrees_with_the_guests_cpuinfo()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("smp", $"memory = 256\nvcpus = 4\n{files.Boot}");
        ToolResult created = await host.XmAsync("create", path);
        Assert.True(created.ExitCode == 0, created.ToString());
        using Process console = host.Start("xm", ["console", "smp"]);

        Assert.Equal((int[])[0, 1, 2, 3], await InGuestAsync(console, "true"));
        Assert.Equal((int[])[0, 1, 2, 3], await OnlineAsync(host, vcpus: 4));

        // The write returns when the vCPU is down or up (VCPUOP_down, VCPUOP_up).
        Assert.Equal((int[])[0, 1, 3], await InGuestAsync(console, "echo 0 > /sys/devices/system/cpu/cpu2/online"));
        Assert.Equal((int[])[0, 1, 3], await OnlineAsync(host, vcpus: 4));
        Assert.Equal((int[])[0, 1, 2, 3], await InGuestAsync(console, "echo 1 > /sys/devices/system/cpu/cpu2/online"));
        Assert.Equal((int[])[0, 1, 2, 3], await OnlineAsync(host, vcpus: 4));

        ToolResult destroyed = await host.XmAsync("destroy", "smp");
        Assert.True(destroyed.ExitCode == 0, destroyed.ToString());
        await console.WaitForExitAsync(Cancellation);
    }

    /// <summary>Has the guest's shell do something; gives the processors of its /proc/cpuinfo after that.</summary>
    private static async Task<int[]> InGuestAsync(Process console, string command)
    {
        // The mark is put together in the guest, so that the echo of the command is not taken for the answer.
        const string Mark = "processors=";
        await console.StandardInput.WriteAsync($"{command}; echo proc''essors=$(sed -n 's/^processor[^0-9]*//p' /proc/cpuinfo)\n");
        await console.StandardInput.FlushAsync(Cancellation);
        List<string> seen = [];
        while (await console.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            seen.Add(line);
            int at = line.IndexOf(Mark, StringComparison.Ordinal);
            if (at >= 0)
            {
                return [.. line[(at + Mark.Length)..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Number)];
            }
        }

        Assert.Fail($"the console ended:\n{string.Join('\n', seen)}");
        return [];
    }

    /// <summary>The vCPUs that vcpu-list has as running or blocked. One that is down is shown as paused, on no CPU.</summary>
    private static async Task<int[]> OnlineAsync(Host host, int vcpus)
    {
        ToolResult list = await host.XmAsync("vcpu-list", "smp");
        Assert.True(list.ExitCode == 0, list.ToString());
        string[][] rows = [.. list.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))];
        Assert.Equal(["Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity"], rows[0]);
        Assert.Equal(Enumerable.Range(0, vcpus), rows[1..].Select(row => Number(row[2])));
        Assert.All(rows[1..], row => Assert.Contains(row[4], (string[])["r--", "-b-", "--p"]));
        Assert.All(rows[1..].Where(row => row[4] == "--p"), row => Assert.Equal("-", row[3]));
        return [.. rows[1..].Where(row => row[4] != "--p").Select(row => Number(row[2]))];
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
