namespace Shinano.EndToEnd.Tests;

public sealed class QuickstartTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    /// <summary>What .ci/run does after all tests, too.</summary>
    [Fact]
    public async Task A_pipe_feeds_the_shell_and_poweroff_ends_it_with_zero()
    {
        Host.SkipUnlessAll();
        _ = files.Kernel;
        await using Host host = Host.Create();
        ToolResult result = await host.RunAsync(
            "xm",
            ["quickstart"],
            "uname -a; echo \"type=$(cat /sys/hypervisor/type) $(cat /sys/hypervisor/version/major).$(cat /sys/hypervisor/version/minor)\"; ls /proc/xen; poweroff -f\n");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("x86_64 GNU/Linux", result.Output, StringComparison.Ordinal);
        Assert.Contains("type=xen 4.17", result.Output, StringComparison.Ordinal);
        Assert.Contains("capabilities", result.Output, StringComparison.Ordinal);
    }
}
