using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Shinano.Repository;

namespace Shinano.EndToEnd.Tests;

/// <summary>A whole Debian, by the examples' own files: SHINANO_DEBIAN=1 by name.</summary>
[Trait("Category", "Long")]
public sealed class DebianTests(DebianImage image) : IClassFixture<DebianImage>
{
    /// <summary>nobody.</summary>
    private const int Nobody = 65534;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static string Examples => Path.Combine(RepositoryRoot.Path, "examples");

    [Fact]
    public async Task It_boots_to_a_login_prompt_answers_ssh_and_shuts_down_in_order()
    {
        await using Host host = image.CreateHost();
        string disk = await image.CopyToAsync(host);
        int port = FreePorts();
        Stopwatch clock = Stopwatch.StartNew();
        using Process xm = Create(host, disk, port);
        using Conversation console = new(xm, Patience);
        await console.UntilAsync("debian login: ");
        TestContext.Current.TestOutputHelper!.WriteLine($"login prompt after {clock.Elapsed.TotalSeconds:F1} s");
        await LogInAsync(console);
        Assert.Contains("xen", await image.SshAsync(port, "cat /sys/hypervisor/type"), StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper!.WriteLine($"ssh after {clock.Elapsed.TotalSeconds:F1} s");
        Assert.Equal("debian\n", await image.SshAsync(port, "hostname"));
        Assert.Equal("running\n", await image.SshAsync(port, "systemctl is-system-running --wait"));
        await host.SucceedAsync("xm", "shutdown", "-w", "debian");
        Assert.Equal(0, await console.EndAsync());
        Assert.Contains("reboot: System halted", console.Said, StringComparison.Ordinal);
        await DebianImage.CheckFileSystemAsync(disk);
    }

    [Fact]
    public async Task A_user_without_root_boots_its_own_kernel_from_the_menu_with_a_changed_command_line()
    {
        Assert.SkipUnless(Environment.UserName == "root", "as a user without root the other tests of this class show the same");
        await using Host host = image.CreateHost(user: Nobody);
        string disk = await image.CopyToAsync(host);
        host.Give(disk);
        int port = FreePorts();
        using Process xm = Create(host, disk, port);
        using Conversation console = new(xm, Patience);

        // Edit the first entry; two lines down is the kernel's; its end; boot.
        await console.UntilAsync("Debian GNU/Linux, single user");
        await console.TypeAsync("e");
        await console.UntilAsync("setparams");
        await console.TypeAsync("\x0e\x0e\x05 shinano.changed=42");
        await console.UntilAsync("changed=42");
        await console.TypeAsync("\x18");
        await console.UntilAsync("debian login: ");
        await LogInAsync(console);
        Assert.Matches("^root=/dev/xvda1 .*shinano.changed=42", await image.SshAsync(port, "cat /proc/cmdline"));
        Assert.Equal($"{Nobody}", (await File.ReadAllLinesAsync($"/proc/{DomainProcesses.OfDomain(host)}/status", Cancellation)).Single(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1]);
        await host.SucceedAsync("xm", "shutdown", "-w", "debian");
        Assert.Equal(0, await console.EndAsync());
        await DebianImage.CheckFileSystemAsync(disk);
    }

    [Fact]
    public async Task The_demonstration_of_cloning_runs_by_itself_and_leaves_nothing_behind()
    {
        await using Host host = image.CreateHost();
        int port = FreePorts();
        (int code, string said) = await DemonstrateAsync(host, port);
        Assert.True(code == 0, said);
        Assert.Equal(2, said.Split('\n').Where(line => line.Contains(" machine id ", StringComparison.Ordinal)).Distinct().Count());
        Assert.Equal(2, said.Split('\n').Where(line => line.Contains(" host key ", StringComparison.Ordinal)).Distinct().Count());
        Assert.Matches("demo-clone +machine id", said);
        Assert.Contains("3 packets transmitted, 3 received", said, StringComparison.Ordinal);
        Assert.Matches(@"tank/demo-clone +[67]\d(\.\d)?M", said);
        await host.SucceedAsync("xm", "shutdown", "-w", "-a");
        await host.SucceedAsync("xvol", "check", "tank");
        (code, said) = await DemonstrateAsync(host, port, "--clean");
        Assert.True(code == 0, said);
        Assert.DoesNotContain("tank/", (await host.SucceedAsync("xvol", "list", "-t", "all")).Output, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(host.Home, "clone-demo.0")));
    }

    private static Process Create(Host host, string disk, int port) => host.Start(
        "xm", ["create", "-c", Path.Combine(Examples, "debian.cfg"), $"disk=[\"file:{disk},xvda,w\"]", $"vif=[\"type=user,forward=tcp:{port}:22\"]"]);

    /// <summary>Logs in on the console, and waits there until ssh serves and the network is up.</summary>
    private static async Task LogInAsync(Conversation console)
    {
        await console.TypeAsync("root\n");
        await console.UntilAsync("root@debian:~# ");
        await console.TypeAsync("systemctl start ssh && networkctl status >/dev/null && /lib/systemd/systemd-networkd-wait-online && echo re''ady\n");
        await console.UntilAsync("ready");
    }

    private static async Task<(int Code, string Said)> DemonstrateAsync(Host host, int port, params string[] arguments)
    {
        ProcessStartInfo start = new(Path.Combine(Examples, "clone-demo"), arguments) { RedirectStandardOutput = true };
        start.Environment["SHINANO_HOME"] = host.Home;
        start.Environment["SHINANO_NO_BUILD"] = "1";
        start.Environment["TMPDIR"] = host.Home;
        start.Environment["PORT"] = $"{port}";
        using Process demo = Process.Start(start)!;
        string said = await demo.StandardOutput.ReadToEndAsync(Cancellation);
        await demo.WaitForExitAsync(Cancellation);
        return (demo.ExitCode, said);
    }

    /// <summary>The first of two free ports.</summary>
    private static int FreePorts()
    {
        while (true)
        {
            using TcpListener first = new(IPAddress.Loopback, 0);
            first.Start();
            int port = ((IPEndPoint)first.LocalEndpoint).Port;
            using TcpListener second = new(IPAddress.Loopback, port + 1);
            try
            {
                second.Start();
                return port;
            }
            catch (SocketException)
            {
                // Another pair.
            }
        }
    }
}
