using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Shinano.Repository;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel goes from one daemon to another, as a person has it go.</summary>
public sealed partial class MigrationTests(SaveGuestFiles files) : IClassFixture<SaveGuestFiles>
{
    /// <summary>Set to the number of rounds in which one side or the other is killed at random moments.</summary>
    private const string KillRounds = "SHINANO_MIGRATION_ROUNDS";

    /// <summary>Set to have the figures of docs/benchmarks.md taken.</summary>
    private const string Figures = "SHINANO_MIGRATION_FIGURES";

    /// <summary>What Linux says when something went wrong with its time, its CPUs or its disk.</summary>
    private const string Trouble =
        "echo tro''uble=\"$(dmesg | grep -E 'BUG|WARNING: CPU|stall|lockup|Call Trace|I/O error|EXT4-fs error' | head -n 3 | cut -c 1-120 | tr '\\n' '~')\"";

    /// <summary>Memory and disk are written all the time; what is in both can be checked.</summary>
    private const string Load =
        "dmesg -c >/dev/null; (i=0; while [ ! -f /stop ]; do i=$((i+1)); head -c 300000 /dev/urandom >/m.$((i % 16)); md5sum /m.$((i % 16)) >/sum.$((i % 16)); done) & "
        + "(i=0; while [ ! -f /stop ]; do i=$((i+1)); dd if=/dev/urandom of=/mnt/$((i % 8)) bs=64k count=4 conv=fsync 2>/dev/null; echo $i >/mnt/count; done) & ";

    private const string Check =
        "before=$(cat /mnt/count); while [ $(cat /mnt/count) -lt $((before + 3)) ]; do :; done; touch /stop; wait; "
        + "bad=0; for i in 1 2 3 4 5 6 7 8; do md5sum -c /sum.$i >/dev/null 2>&1 || bad=$((bad + 1)); done; sync; umount /mnt && echo b''ad=$bad; " + Trouble;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_busy_guest_goes_to_another_daemon_and_back()
    {
        await using Host here = Host.Create();
        await using Host there = Host.Create();
        string image = await MakeDiskAsync(here);
        string path = here.Configuration(
            "mig", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]\nchannel = [ 'name=shell,connection=pty' ]");
        string port = await TrustAsync(here, there);
        using (Process xm = here.Start("xm", ["create", "-c", path]))
        {
            await xm.StandardInput.WriteLineAsync(ChannelTests.Shell);
            await xm.StandardInput.WriteLineAsync("secret=$((6*7)); mkdir -p /mnt; mount -t ext4 /dev/xvda /mnt; " + Load + "while [ ! -f /mnt/count ] || [ ! -f /sum.9 ]; do :; done; echo bu''sy=1");
            await GuestConsole.ReadUntilAsync(xm, "busy=");
            ToolResult moved = await here.SucceedAsync("xm", "migrate", "--live", "mig", "127.0.0.1:" + port);
            Assert.Matches("as domain 1: .* s in all, down for .* ms", moved.Output);
            await xm.WaitForExitAsync(Cancellation);
            Assert.Equal(21, xm.ExitCode);
        }

        Assert.DoesNotContain("mig", (await here.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
        Assert.Contains("51712", (await there.SucceedAsync("xm", "block-list", "mig")).Output, StringComparison.Ordinal);
        ToolResult back = await there.SucceedAsync("xm", "migrate", "--json", "-s", "", "mig", ReceiverOf(here));
        Assert.Contains("\"rounds\": 0", back.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("mig", (await there.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
        using (Process xm = here.Start("xm", ["console", "mig"]))
        {
            await xm.StandardInput.WriteLineAsync("echo ans''wer=$secret; " + Check);
            Assert.Equal("answer=42", await GuestConsole.ReadUntilAsync(xm, "answer="));
            Assert.Equal("bad=0", await GuestConsole.ReadUntilAsync(xm, "bad="));
            Assert.Equal("trouble=", await GuestConsole.ReadUntilAsync(xm, "trouble="));
        }

        using (Process xm = here.Start("xm", ["console", "-n", "1", "mig"]))
        {
            await xm.StandardInput.WriteLineAsync("echo al''so=1");
            await GuestConsole.ReadUntilAsync(xm, "also=1");
            xm.Kill(entireProcessTree: true);
        }

        await here.SucceedAsync("xm", "destroy", "mig");
        await Ext4.AssertCleanAsync(image);
    }

    [Fact]
    public async Task A_channel_whose_path_is_taken_there_keeps_the_domain_here()
    {
        Host.SkipUnlessAll();
        await using Host here = Host.Create();
        await using Host there = Host.Create();
        string agent = Path.Combine(here.Home, "agent");
        string path = here.Configuration("mig", $"memory = 192\n{files.Boot}\nchannel = [ 'name=agent,connection=socket,path={agent}' ]");
        using Process xm = here.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteLineAsync("echo u''p=1");
        await GuestConsole.ReadUntilAsync(xm, "up=1");

        // Both ends are on one host, and so is the path.
        ToolResult refused = await here.XmAsync("migrate", "-s", "", "mig", ReceiverOf(there));
        Assert.True(refused.ExitCode == 1 && refused.Error.Contains($"{agent}: Address already in use", StringComparison.Ordinal), refused.ToString());
        await xm.StandardInput.WriteLineAsync("echo st''ill=1");
        await GuestConsole.ReadUntilAsync(xm, "still=1");
        Assert.DoesNotContain("mig", (await there.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
    }

    /// <summary>kill -9 of either xend or of the connection's command at random moments of a migration of a busy guest.</summary>
    [Fact]
    public async Task One_side_runs_a_busy_guest_after_kills_at_random_moments()
    {
        Assert.SkipUnless(int.TryParse(Environment.GetEnvironmentVariable(KillRounds), CultureInfo.InvariantCulture, out int rounds), $"{KillRounds} is not set");
        await using Host first = Host.Create();
        await using Host second = Host.Create();
        string image = await MakeDiskAsync(first);
        string path = first.Configuration("mig", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]");
        using (Process xm = first.Start("xm", ["create", "-c", path]))
        {
            await xm.StandardInput.WriteLineAsync("mkdir -p /mnt; mount -t ext4 /dev/xvda /mnt; " + Load + "while [ ! -f /mnt/count ] || [ ! -f /sum.9 ]; do :; done; echo bu''sy=1");
            await GuestConsole.ReadUntilAsync(xm, "busy=");
            xm.Kill();
        }

        Random random = new(rounds);
        (Host from, Host to) = (first, second);
        double lasts = 2000;
        int went = 0;
        for (int round = 0; round < rounds; round++)
        {
            using Process xm = from.Start("xm", ["migrate", "--live", "-q", "-s", "", "mig", ReceiverOf(to)]);
            Stopwatch clock = Stopwatch.StartNew();
            Task ended = xm.WaitForExitAsync(Cancellation);
            await Task.WhenAny(ended, Task.Delay(TimeSpan.FromMilliseconds(random.NextDouble() * lasts), Cancellation));
            Kill(random.Next(2) == 0 ? from : to);
            await ended;
            lasts = Math.Max(lasts, clock.Elapsed.TotalMilliseconds);

            Host home = await WaitForOneAsync(from, to);
            went += home == to ? 1 : 0;
            (from, to) = home == to ? (to, from) : (from, to);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{went} of {rounds} went");
        using (Process xm = from.Start("xm", ["console", "mig"]))
        {
            await xm.StandardInput.WriteLineAsync(Check);
            Assert.Equal("bad=0", await GuestConsole.ReadUntilAsync(xm, "bad="));
            Assert.Equal("trouble=", await GuestConsole.ReadUntilAsync(xm, "trouble="));
        }

        await from.SucceedAsync("xm", "destroy", "mig");
        await Ext4.AssertCleanAsync(image);
    }

    [Fact]
    public async Task How_long_a_migration_takes()
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable(Figures) is null, $"{Figures} is not set");
        await using Host first = Host.Create();
        await using Host second = Host.Create();
        string path = first.Configuration("mig", $"memory = 512\nvcpus = 2\n{files.Boot}");
        string[] ports = [await TrustAsync(first, second), await TrustAsync(second, first)];
        (Host from, Host to) = (first, second);
        await first.SucceedAsync("xm", "create", path);
        foreach (string load in (string[])["", "(while :; do head -c 60000000 /dev/urandom >/m; done) & (while :; do head -c 60000000 /dev/zero >/z; done) & "])
        {
            using (Process xm = from.Start("xm", ["console", "mig"]))
            {
                await xm.StandardInput.WriteLineAsync("head -c 200000000 /dev/urandom >/fill; " + load + "echo st''arted=1");
                await GuestConsole.ReadUntilAsync(xm, "started=1");
                xm.Kill();
            }

            foreach (string[] options in (string[][])[["-q", "--json"], ["-q", "--json", "--live"], ["-q", "--json"], ["-q", "--json", "--live"]])
            {
                ToolResult result = await from.SucceedAsync("xm", ["migrate", .. options, "mig", "127.0.0.1:" + ports[from == first ? 0 : 1]]);
                TestContext.Current.TestOutputHelper?.WriteLine($"{(load.Length == 0 ? "idle" : "busy")} {string.Join(' ', options)}: {Spaces().Replace(result.Output, " ")}");
                (from, to) = (to, from);
            }
        }

        await from.SucceedAsync("xm", "destroy", "mig");
    }

    private static string ReceiverOf(Host host) => $"SHINANO_HOME={host.Home} {Path.Combine(RepositoryRoot.Path, "bin", "xm")} migrate-receive";

    /// <summary>Has two hosts trust each other, and the second take domains.</summary>
    /// <returns>Its port.</returns>
    private static async Task<string> TrustAsync(Host here, Host there)
    {
        await here.SucceedAsync("xm", "migrate-trust", (await there.SucceedAsync("xm", "migrate-key")).Output.Trim(), "there");
        await there.SucceedAsync("xm", "migrate-trust", (await here.SucceedAsync("xm", "migrate-key")).Output.Trim(), "here");
        await there.SucceedAsync("xm", "migrate-listen", "127.0.0.1:0");
        return (await there.SucceedAsync("xm", "migrate-listen")).Output.Trim().Split(':')[1];
    }

    private static async Task<string> MakeDiskAsync(Host host)
    {
        string image = Path.Combine(host.Home, "disk.img");
        await File.WriteAllBytesAsync(image, new byte[32 << 20], Cancellation);
        using Process make = Process.Start(new ProcessStartInfo("/usr/sbin/mkfs.ext4", ["-q", image]))!;
        await make.WaitForExitAsync(Cancellation);
        return image;
    }

    /// <summary>kill -9 of a host's xend, if it has one now.</summary>
    private static void Kill(Host host)
    {
        foreach (int id in host.Processes())
        {
            if (DomainProcesses.Words(id).Contains("Shinano.Control.Daemon.dll", StringComparison.Ordinal))
            {
                using Process xend = Process.GetProcessById(id);
                xend.Kill();
                xend.WaitForExit();
            }
        }
    }

    /// <summary>Waits until one side runs the domain and the other has nothing of it. The tools start xends anew.</summary>
    private static async Task<Host> WaitForOneAsync(Host first, Host second)
    {
        while (true)
        {
            string one = (await first.SucceedAsync("xm", "list")).Output;
            string other = (await second.SucceedAsync("xm", "list")).Output;
            Assert.False(Runs(one) && Runs(other), "both sides run the domain");
            if (Runs(one) && !other.Contains("mig ", StringComparison.Ordinal))
            {
                return first;
            }

            if (Runs(other) && !one.Contains("mig ", StringComparison.Ordinal))
            {
                return second;
            }

            await Task.Delay(200, Cancellation);
        }

        static bool Runs(string list) => Running().IsMatch(list);
    }

    [GeneratedRegex(@"^mig .* (r-----|-b----) ", RegexOptions.Multiline)]
    private static partial Regex Running();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
