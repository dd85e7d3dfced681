using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's hvc1 and hvc2: consoles beside the first one, for a person and for a program.</summary>
public sealed class ChannelTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    /// <summary>Without an echo: what is looked for is an answer, and busybox's shell does not ask the terminal for its cursor.</summary>
    internal const string Shell = "(setsid sh -c 'stty -echo; exec sh' </dev/hvc1 >/dev/hvc1 2>&1 &)\n";

    private const string Agent = "(setsid sh -c 'stty -echo; while read -r line; do echo got-$line; done' </dev/hvc2 >/dev/hvc2 2>&1 &)\n";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_shell_and_an_agent_answer_while_xend_is_killed_and_after_a_fork_and_a_restore()
    {
        await using Host host = Host.Create();
        string agent = Path.Combine(host.Home, "agent");
        string saved = Path.Combine(host.Home, "two.save");
        string path = host.Configuration(
            "two", $"memory = 192\n{files.Boot}\nchannel = [ 'name=shell,connection=pty', 'name=org.example.agent.1,connection=socket,path={agent}' ]");
        using Process first = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(first);
        await console.TypeAsync(Shell + Agent + "echo bo''th=1\n");
        await console.UntilAsync("both=1");
        await host.UntilAsync("/local/domain/1/device/console/1/state", "4");
        Assert.Equal("org.example.agent.1", (await host.SucceedAsync("xenstore-read", "/local/domain/1/device/console/2/name")).Output.Trim());

        using (Process second = host.Start("xm", ["console", "-n", "1", "two"]))
        {
            using Conversation shell = new(second);
            await shell.TypeAsync("secret=$((6*7)); echo said=$secret\n");
            await shell.UntilAsync("said=42");
            await host.KillDaemonAsync();
            await shell.TypeAsync("echo without-xend=$secret\n");
            await shell.UntilAsync("without-xend=42");
        }

        Assert.Equal("got-ping", await AskAgentAsync(agent, "ping"));

        // Who comes later reads what was said to who was there before; an agent's next peer does not.
        Assert.Equal("got-pong", await AskAgentAsync(agent, "pong"));
        await AskShellAsync(host, "two", "1", "echo later=$secret", "said=42", "without-xend=42", "later=42");
        ToolResult refused = await host.XmAsync("console", "-n", "3", "two");
        Assert.True(refused.ExitCode == 1 && refused.Error.Contains("has no console 3: it has 0, 1, 2", StringComparison.Ordinal), refused.ToString());

        // A copy has consoles of its own; a socket's path is one domain's.
        await host.SucceedAsync("xm", "fork", "two", "copy");
        await AskShellAsync(host, "copy", "1", "echo copied=$secret", "copied=42");
        await AskShellAsync(host, "copy", "2", "copy", "got-copy");
        Assert.Equal("got-still", await AskAgentAsync(agent, "still"));
        await host.SucceedAsync("xm", "destroy", "copy");

        await host.SucceedAsync("xm", "save", "two", saved);
        Assert.False(File.Exists(agent));
        await host.SucceedAsync("xm", "restore", saved);
        await AskShellAsync(host, "two", "1", "echo restored=$secret", "restored=42");
        Assert.Equal("got-again", await AskAgentAsync(agent, "again"));
        await host.SucceedAsync("xm", "destroy", "two");
        Assert.False(File.Exists(agent));
    }

    /// <summary>Types a line at a further console and waits for what it is to show, in this order.</summary>
    private static async Task AskShellAsync(Host host, string domain, string number, string line, params string[] shown)
    {
        using Process xm = host.Start("xm", ["console", "-n", number, domain]);
        using Conversation shell = new(xm);
        await shell.TypeAsync(line + "\n");
        foreach (string text in shown)
        {
            await shell.UntilAsync(text);
        }

        xm.Kill(entireProcessTree: true);
    }

    /// <summary>Sends a line to a channel's socket, as a program does.</summary>
    /// <returns>The first line that comes.</returns>
    private static async Task<string?> AskAgentAsync(string path, string line)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), Cancellation);
        await socket.SendAsync(Encoding.ASCII.GetBytes(line + "\n"), Cancellation);
        using StreamReader reader = new(new NetworkStream(socket));
        return await reader.ReadLineAsync(Cancellation);
    }
}
