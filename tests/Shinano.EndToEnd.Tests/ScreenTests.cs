using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Shinano.Rfb;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's framebuffer console, seen and typed at over VNC.</summary>
public sealed class ScreenTests(ScreenGuestFiles files) : IClassFixture<ScreenGuestFiles>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>
    /// Powers off at the next line. No command is typed at a prompt that has just come: busybox asks the terminal there where its cursor is, and drops what is typed
    /// beside the answer.
    /// </summary>
    private const string ClearAndEnd = "clear; read line; poweroff -f\n";

    [Fact]
    public async Task The_console_is_seen_and_typed_at_also_while_xend_is_killed()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("screen", $"memory = 192\n{files.BootToScreen}\nvfb = [ 'type=vnc,vncdisplay=200' ]");
        Assert.Equal(0, (await host.RunAsync("xend", ["start"])).ExitCode);
        using Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);

        // The shell is on the screen alone; what it is told to say to the other console shows that keys arrived.
        using RfbViewer viewer = await ConnectAsync(host);
        Assert.Equal("screen", viewer.Name);
        await viewer.SetEncodingsAsync(Cancellation, 16, 5, -223);
        await console.UntilAsync("screen-ready");
        await UntilAsync(viewer, pixels => pixels.Any(pixel => pixel != 0));
        await viewer.TypeAsync("\necho \"Typed-$((6*7))!\" > /dev/hvc0\n", Cancellation);
        await console.UntilAsync("Typed-42!");

        await host.KillDaemonAsync();

        await viewer.TypeAsync("echo again-$((7*7)) > /dev/hvc0\n", Cancellation);
        await console.UntilAsync("again-49");

        // Text fills the picture, and a clear screen is nearly black.
        await viewer.TypeAsync("cat /etc/inittab /etc/inittab /etc/inittab\n", Cancellation);
        await UntilAsync(viewer, IsFull);
        await viewer.TypeAsync(ClearAndEnd, Cancellation);
        await UntilAsync(viewer, IsClear);
        Assert.Equal((800, 600), (viewer.Width, viewer.Height));
        ToolResult place = await host.XmAsync("vncviewer", "--show", "screen");
        Assert.StartsWith("127.0.0.1:", place.Output, StringComparison.Ordinal);
        Assert.Contains("\"vncPort\"", (await host.XmAsync("list", "-l", "screen")).Output, StringComparison.Ordinal);
        await viewer.TypeAsync("\n", Cancellation);
        Assert.Equal(0, await console.EndAsync());
        Assert.DoesNotContain(host.Processes(), id => DomainProcesses.Words(id).Contains("vnc-gate", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_saved_screen_is_seen_and_typed_at_again_as_it_was()
    {
        await using Host host = Host.Create();
        string saved = Path.Combine(host.Home, "screen.save");
        string path = host.Configuration("screen", $"memory = 192\n{files.BootToScreen}\nvfb = [ 'type=vnc,vncdisplay=300' ]");
        using (Process xm = host.Start("xm", ["create", "-c", path]))
        {
            using Conversation console = new(xm);
            await console.UntilAsync("screen-ready");
            using RfbViewer viewer = await ConnectAsync(host);
            await viewer.SetEncodingsAsync(Cancellation, 16);
            await viewer.TypeAsync("secret=$((6*7)); cat /etc/inittab /etc/inittab /etc/inittab; echo written >/dev/hvc0\n", Cancellation);
            await console.UntilAsync("written");
            await UntilAsync(viewer, IsFull);
            await host.SucceedAsync("xm", "save", "screen", saved);
            Assert.Equal(21, await console.EndAsync());
        }

        using Process restored = host.Start("xm", ["restore", "-c", saved]);
        using Conversation again = new(restored);
        await again.UntilAsync("written");

        // The first picture is the one that was there: the guest draws nothing anew.
        using RfbViewer second = await ConnectAsync(host, 2);
        await second.SetEncodingsAsync(Cancellation, 16);
        await second.RequestAsync(incremental: false, Cancellation);
        await second.ReadUpdateAsync(Cancellation);
        Assert.True(IsFull(second.Pixels));
        Assert.Equal((800, 600), (second.Width, second.Height));
        await second.TypeAsync("echo \"typed-$secret!\" > /dev/hvc0\n", Cancellation);
        await again.UntilAsync("typed-42!");
        await second.TypeAsync(ClearAndEnd, Cancellation);
        await UntilAsync(second, IsClear);
        await second.TypeAsync("\n", Cancellation);
        Assert.Equal(0, await again.EndAsync());
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named_and_leaves_nothing_behind()
    {
        await using Host host = Host.Create();
        using Socket other = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        other.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        other.Listen();
        int display = ((IPEndPoint)other.LocalEndPoint!).Port - 5900;
        string path = host.Configuration("taken", $"memory = 192\n{files.Boot}\nvfb = [ 'vncdisplay={display},vncunused=0' ]");
        ToolResult result = await host.XmAsync("create", path);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"127.0.0.1:{display + 5900}", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("taken", (await host.XmAsync("list")).Output, StringComparison.Ordinal);
    }

    private static bool IsFull(uint[] pixels) => pixels.Count(pixel => pixel != 0) > 10000;

    /// <summary>Nothing is below the first line of text.</summary>
    private static bool IsClear(uint[] pixels) => pixels.Skip(800 * 16).All(pixel => pixel == 0);

    private static async Task<RfbViewer> ConnectAsync(Host host, int domain = 1)
    {
        using Process watch = host.Start("xenstore-watch", [$"/local/domain/{domain}/console"]);
        try
        {
            while (await watch.StandardOutput.ReadLineAsync(Cancellation) is not null)
            {
                string port = (await host.RunAsync("xenstore-read", [$"/local/domain/{domain}/console/vnc-port"])).Output.Trim();
                if (port.Length > 0)
                {
                    Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                    await socket.ConnectAsync(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture), Cancellation);
                    RfbViewer viewer = new(new NetworkStream(socket, ownsSocket: true));
                    Assert.Null(await viewer.ConnectAsync("003.008", null, Cancellation));
                    return viewer;
                }
            }
        }
        finally
        {
            watch.Kill(entireProcessTree: true);
        }

        throw new EndOfStreamException("the watch ended");
    }

    /// <summary>Takes updates as they come until the picture is as wanted.</summary>
    private static async Task UntilAsync(RfbViewer viewer, Func<uint[], bool> wanted)
    {
        await viewer.RequestAsync(incremental: false, Cancellation);
        await viewer.ReadUpdateAsync(Cancellation);
        while (!wanted(viewer.Pixels))
        {
            await viewer.RequestAsync(incremental: true, Cancellation);
            await viewer.ReadUpdateAsync(Cancellation);
        }

        // The rest of a request stays open, as with every viewer.
    }
}
