using System.Diagnostics;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>
/// One suite for Debian's xenstore-utils and for our tools, at our socket: they print the same and end with the same exit codes.
/// </summary>
public sealed class ToolTests : IAsyncLifetime
{
    private ServerFixture fixture = null!;

    public enum Tools
    {
        /// <summary>The package xenstore-utils, when it is installed.</summary>
        Debians,
        Ours,
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => fixture = await ServerFixture.StartAsync();

    public ValueTask DisposeAsync() => fixture.DisposeAsync();

    [Theory]
    [InlineData(Tools.Debians)]
    [InlineData(Tools.Ours)]
    public async Task ReadingAndWriting(Tools tools)
    {
        await ExpectAsync(tools, "write /a/b hello /a/c wor\\tld\\x7f", "");
        await ExpectAsync(tools, "read /a/b", "hello\n");
        await ExpectAsync(tools, "read /a/b /a/c", "hello\nwor\\tld\\x7f\n");
        await ExpectAsync(tools, "read -p /a/b", "/a/b: hello\n");
        await ExpectAsync(tools, "read -R /a/c", "wor\tld\u007f");
        await ExpectAsync(tools, "write -R /a/d x\\ty", "");
        await ExpectAsync(tools, "read -R /a/d", "x\\ty");
        await ExpectAsync(tools, "read /a/q", "", 1, "xenstore-read: couldn't read path /a/q\n");
        await ExpectAsync(tools, "read", "", 1, "xenstore-read: Usage: xenstore-read [-h] [-p] [-s] [-R] key [...]\n");
        await ExpectAsync(tools, "write /a", "", 1, "xenstore-write: Usage: xenstore-write [-h] [-s] [-R] key value [...]\n");
        await ExpectAsync(tools, "write /bad.path x", "", 1, "xenstore-write: could not write path /bad.path\n");
    }

    [Theory]
    [InlineData(Tools.Debians)]
    [InlineData(Tools.Ours)]
    public async Task Listing(Tools tools)
    {
        await ExpectAsync(tools, "write /a/z 1 /a/b 2 /a/b/c deep", "");
        await ExpectAsync(tools, "list /a", "z\nb\n");
        await ExpectAsync(tools, "list -p /a", "/a/z\n/a/b\n");
        await ExpectAsync(tools, "list /q", "", 1, "xenstore-list: could not list path /q\n");
        await ExpectAsync(tools, "exists /a/b/c", "");
        await ExpectAsync(tools, "exists /a/b /a/q", "", 1);
        await ExpectAsync(tools, "ls /a", "z = \"1\"\nb = \"2\"\n c = \"deep\"\n");
        await ExpectAsync(tools, "ls -f", "/tool = \"\"\n/tool/xenstored = \"\"\n/a = \"\"\n/a/z = \"1\"\n/a/b = \"2\"\n/a/b/c = \"deep\"\n");
        await ExpectAsync(tools, "chmod /a/z n5 r3 b12", "");
        await ExpectAsync(tools, "ls -fp /a", "/a/z = \"1\"   (n5,r3,b12)\n/a/b = \"2\"   (n0)\n/a/b/c = \"deep\"   (n0)\n");
        await ExpectAsync(
            tools,
            "ls -p /a",
            "z = \"1\"  . . . . . . . . . . . . . . . . . . . . . . . . . .  (n5,r3,b12)\n"
            + "b = \"2\"  . . . . . . . . . . . . . . . . . . . . . . . . . .  (n0)\n"
            + " c = \"deep\"  . . . . . . . . . . . . . . . . . . . . . . . .  (n0)\n");
        await ExpectAsync(tools, "ls /q", "", 1, "xenstore-ls: xs_directory (/q): No such file or directory\n");
        await ExpectAsync(tools, "write /long/x " + new string('v', 100), "");
        await ExpectAsync(tools, "ls /long", "x = \"" + new string('v', 71) + "\\...\"\n");
    }

    [Theory]
    [InlineData(Tools.Debians)]
    [InlineData(Tools.Ours)]
    public async Task Removing(Tools tools)
    {
        await ExpectAsync(tools, "write /a/b/c/d 1 /a/x 1", "");
        await ExpectAsync(tools, "rm -t /a/b/c/d", "");
        await ExpectAsync(tools, "ls -f /a", "/a/x = \"1\"\n");
        await ExpectAsync(tools, "rm /a/q", "");
        await ExpectAsync(tools, "rm /q/q", "", 1, "xenstore-rm: could not remove path /q/q\n");
        await ExpectAsync(tools, "rm /a", "");
        await ExpectAsync(tools, "exists /a/x", "", 1);
    }

    [Theory]
    [InlineData(Tools.Debians)]
    [InlineData(Tools.Ours)]
    public async Task ChangingPermissions(Tools tools)
    {
        await ExpectAsync(tools, "write /a/b/c 1", "");
        await ExpectAsync(tools, "chmod -u /a/b r7", "");
        await ExpectAsync(tools, "ls -fp /a", "/a/b = \"\"   (r7)\n/a/b/c = \"1\"   (n0)\n");
        await ExpectAsync(tools, "chmod -r /a b0 n9", "");
        await ExpectAsync(tools, "ls -fp /a", "/a/b = \"\"   (b0,n9)\n/a/b/c = \"1\"   (b0,n9)\n");
        await ExpectAsync(
            tools, "chmod /q r0", "", 1, "xenstore-chmod: Error occurred setting permissions on '/q': No such file or directory\n");
    }

    [Theory]
    [InlineData(Tools.Debians)]
    [InlineData(Tools.Ours)]
    public async Task Watching(Tools tools)
    {
        using Process watching = Start(tools, "watch", "-n", "3", "/a");
        Assert.Equal("/a", await watching.StandardOutput.ReadLineAsync(Cancellation));
        await ExpectAsync(tools, "write /a/b 1", "");
        Assert.Equal("/a/b", await watching.StandardOutput.ReadLineAsync(Cancellation));
        await ExpectAsync(tools, "rm /a/b", "");
        Assert.Equal("/a/b", await watching.StandardOutput.ReadLineAsync(Cancellation));
        await watching.WaitForExitAsync(Cancellation);
        Assert.Equal(0, watching.ExitCode);
    }

    [Fact]
    public async Task WithoutAServerOurToolsSayWhereTheyLooked()
    {
        await fixture.Server.DisposeAsync();
        (string output, string errors, int exitCode) = await RunAsync(Tools.Ours, "read", "/a");
        Assert.Equal(("", 1), (output, exitCode));
        Assert.Equal(
            $"xenstore-read: Cannot connect to xenstore at '{fixture.Paths.XenStoreServerSocket}': there is no such socket. Is xend running?\n",
            errors);
    }

    [Fact]
    public async Task SnoopPrintsTheClassicHeaderAndLines()
    {
        using Process snoop = Start(Tools.Ours, "snoop", "-n", "1");
        Assert.Equal("DOM  PID      TX     OP", await snoop.StandardOutput.ReadLineAsync(Cancellation));
        Task<string?> line = snoop.StandardOutput.ReadLineAsync(Cancellation).AsTask();
        while (!line.IsCompleted)
        {
            fixture.Server.Store.Nodes.Write("/a", "1");
            await Task.Yield();
        }

        Assert.Equal($"0    {Environment.ProcessId,-8} 0      XS_WRITE: /a 1 -> OK", await line);
        await snoop.WaitForExitAsync(Cancellation);
        Assert.Equal(0, snoop.ExitCode);
    }

    private async Task ExpectAsync(Tools tools, string command, string output, int exitCode = 0, string errors = "")
    {
        string[] words = command.Split(' ');
        (string Output, string Errors, int ExitCode) found = await RunAsync(tools, words[0], words[1..]);
        Assert.Equal((output, errors, exitCode), found);
    }

    private async Task<(string Output, string Errors, int ExitCode)> RunAsync(Tools tools, string tool, params string[] arguments)
    {
        using Process process = Start(tools, tool, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync(Cancellation);
        Task<string> errors = process.StandardError.ReadToEndAsync(Cancellation);
        await process.WaitForExitAsync(Cancellation);
        return (await output, await errors, process.ExitCode);
    }

    private Process Start(Tools tools, string tool, params string[] arguments)
    {
        string debians = $"/usr/bin/xenstore-{tool}";
        Assert.SkipUnless(tools == Tools.Ours || File.Exists(debians), "Debian's xenstore-utils are not installed: apt install xenstore-utils.");
        ProcessStartInfo start = tools == Tools.Debians
            ? new ProcessStartInfo($"xenstore-{tool}", arguments)
            : new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Shinano.Cli.dll"), $"xenstore-{tool}", .. arguments]);
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.Environment["XENSTORED_PATH"] = fixture.Paths.XenStoreServerSocket;
        if (tools == Tools.Debians)
        {
            // Found by its bare name, so that its messages begin with it; not in bin/ of this repository.
            start.Environment["PATH"] = "/usr/bin:/bin";
        }

        return Process.Start(start)!;
    }
}
