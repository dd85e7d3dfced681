using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Shinano.EndToEnd.Tests;

/// <summary>
/// A Debian with systemd under load, saved and restored, and reverted to snapshots, over and over: SHINANO_DEBIAN=1 SHINANO_SAVE_ROUNDS=20 by name. In the guest a CPU is kept busy, files
/// are written, synced and compared with their sums, numbers go through a TCP connection on the loopback, and a process watches its clocks.
/// </summary>
[Trait("Category", "Long")]
public sealed class SaveRoundsTests(DebianImage image) : IClassFixture<DebianImage>
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);

    /// <summary>Debian's perl-base has no modules but these; system calls 228 are clock_gettime(2) of x86-64.</summary>
    private const string Load = """
        mkdir -p /run/load /var/tmp/load; cd /run/load
        (while :; do :; done) & echo $! >cpu.pid
        cat >tcp.pl <<'E'
        use Socket; use strict;
        sub said { open(my $f, '>', "$_[0].new"); print $f "$_[1]\n"; close $f; rename "$_[0].new", $_[0]; }
        socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, sockaddr_in(4217, INADDR_LOOPBACK)) or die; listen($l, 1);
        if (my $p = fork) { accept(my $c, $l); my ($n, $b) = (0, '');
          while (sysread($c, $b, 4096 - length $b, length $b)) { next if length $b < 4096;
            if ($b ne pack('N', $n) x 1024) { said('tcp.bad', $n); exit 1; } $n++; $b = ''; said('tcp.count', $n) if $n % 16 == 0; }
          said('tcp.bad', 'ended'); exit 1; }
        socket(my $s, PF_INET, SOCK_STREAM, 0); connect($s, sockaddr_in(4217, INADDR_LOOPBACK)) or die;
        for (my $n = 0; ; $n++) { my $b = pack('N', $n) x 1024; while (length $b) { my $w = syswrite($s, $b); defined $w or exit 1; substr($b, 0, $w) = ''; } select(undef, undef, undef, 0.01); }
        E
        cat >clock.pl <<'E'
        use strict; my ($n, $bad, $gap, @last) = (0, 0, 0, 0, 0);
        sub now { my $t = pack('q2', 0, 0); syscall(228, $_[0], $t) == 0 or die; my ($s, $u) = unpack('q2', $t); $s + $u / 1e9; }
        while (1) { for my $c (0, 1) { my $t = now($c); $bad++ if $t < $last[$c]; $gap = $t - $last[$c] if $n && $t - $last[$c] > $gap; $last[$c] = $t; }
          $n++; open(my $f, '>', 'clock.new'); print $f "$n $bad $gap\n"; close $f; rename 'clock.new', 'clock'; select(undef, undef, undef, 0.05); }
        E
        cat >write.sh <<'E'
        i=0; while :; do i=$((i+1)); f=/var/tmp/load/$((i % 6))
        head -c 2000000 /dev/urandom >$f.new; (cd /var/tmp/load; sha256sum <$f.new >$f.sum.new); sync $f.new $f.sum.new; mv $f.new $f; mv $f.sum.new $f.sum
        o=/var/tmp/load/$(((i + 1) % 6)); [ ! -e $o ] || sha256sum <$o | cmp -s - $o.sum || echo $i >write.bad; echo $i >write.new; mv write.new write.count; done
        E
        perl tcp.pl & echo $! >tcp.pid
        perl clock.pl & echo $! >clock.pid
        sh write.sh & echo $! >write.pid
        while [ ! -e tcp.count ] || [ ! -e clock ] || [ ! -e write.count ]; do :; done
        """;

    /// <summary>Waits until each of them has gone on, and says how they are.</summary>
    private const string Look = """
        cd /run/load
        t=$(cat tcp.count); w=$(cat write.count); read c rest <clock
        while [ $(cat tcp.count) -lt $((t + 32)) ] || [ $(cat write.count) -lt $((w + 2)) ] || { read d rest <clock; [ $d -lt $((c + 20)) ]; }; do [ -e tcp.bad ] || [ -e write.bad ] && break; sleep 0.1; done
        for p in cpu tcp clock write; do kill -0 $(cat $p.pid) || echo dead $p; done
        read n bad gap <clock
        echo "look$1: tcp=$(cat tcp.count) write=$(cat write.count) clock=$n backwards=$bad gap=$gap bad=$(ls | grep -c '\.bad$') $(dmesg | grep -cE 'BUG|WARNING: CPU|stall|lockup|Call Trace|I/O error|EXT4-fs error') $(systemctl is-system-running)."
        """;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Processes_clocks_connections_consoles_and_disks_of_a_Debian_under_load_go_on_through_every_round()
    {
        int rounds = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_SAVE_ROUNDS"), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
        Assert.SkipUnless(rounds > 0, "SHINANO_SAVE_ROUNDS=20 takes half an hour");
        await using Host host = image.CreateHost();
        await host.SucceedAsync("xvol", "import", "-f", "raw", await image.CopyToAsync(host), "tank/debian");
        string saved = Path.Combine(host.Home, "debian.save");
        string path = host.Configuration("debian", "memory = 512\nvcpus = 2\nbootloader = \"pvgrub\"\ndisk = [ 'vol:tank/debian,xvda,w' ]");
        Process xm = host.Start("xm", ["create", "-c", path]);
        Conversation console = new(xm, Patience);
        await console.UntilAsync("debian login: ");
        await console.TypeAsync("root\n");
        await console.UntilAsync("root@debian:~# ");
        await TypeScriptAsync(console, "load", Load);
        await TypeScriptAsync(console, "look", Look);
        await console.TypeAsync("systemctl is-system-running --wait; dmesg -C; . /root/load; echo loa''ded\n");
        await console.UntilAsync("loaded");
        string said = await LookAsync(console, 0);
        for (int round = 1; round <= rounds; round++)
        {
            Stopwatch clock = Stopwatch.StartNew();
            bool isSave = round % 2 == 1;
            if (isSave)
            {
                await host.SucceedAsync("xm", "save", "debian", saved);
                Assert.Equal(21, await console.EndAsync());
            }
            else
            {
                await host.SucceedAsync("xm", "snapshot-create", "debian", $"round{round}");
                await LookAsync(console, -round);
                xm.Kill();
            }

            long done = clock.ElapsedMilliseconds;
            console.Dispose();
            xm.Dispose();
            xm = host.Start("xm", isSave ? ["restore", "-c", saved] : ["snapshot-revert", "-c", "debian", $"round{round}"]);
            console = new Conversation(xm, Patience);
            said = await LookAsync(console, round);
            TestContext.Current.TestOutputHelper!.WriteLine(
                $"round {round}: {(isSave ? "save" : "snapshot")} {done} ms, all with a look {clock.ElapsedMilliseconds} ms, {new FileInfo(saved).Length >> 20} MiB; {said}");
            if (!isSave)
            {
                await host.SucceedAsync("xm", "snapshot-delete", "debian", $"round{round}");
            }
        }

        await console.TypeAsync("cd /; for p in cpu tcp clock write; do kill $(cat /run/load/$p.pid); done; poweroff\n");
        Assert.Equal(0, await console.EndAsync());
        Assert.Contains("reboot: System halted", console.Said, StringComparison.Ordinal);
        console.Dispose();
        xm.Dispose();
        string raw = Path.Combine(host.Home, "after.img");
        await host.SucceedAsync("xvol", "export", "-f", "raw", "tank/debian", raw);
        await DebianImage.CheckFileSystemAsync(raw);
        await host.SucceedAsync("xvol", "check", "tank");
    }

    /// <summary>A console's line has at most 4095 bytes (N_TTY_BUF_SIZE), and its echo would be taken for an answer: hence base64.</summary>
    private static async Task TypeScriptAsync(Conversation console, string name, string script)
    {
        string text = Convert.ToBase64String(Encoding.UTF8.GetBytes(script.ReplaceLineEndings("\n") + "\n"), Base64FormattingOptions.InsertLineBreaks).ReplaceLineEndings("\n");
        await console.TypeAsync($"stty -echo; base64 -d >/root/{name} <<'E'\n{text}\nE\nstty echo; echo typ''ed-{name}\n");
        await console.UntilAsync($"typed-{name}");
    }

    private static async Task<string> LookAsync(Conversation console, int round)
    {
        await console.TypeAsync($"sh /root/look {round}\n");
        await console.UntilAsync($"look{round}: ");
        string said = await console.UntilAsync(".\r\n");
        Assert.Matches(@"backwards=0 gap=\d+(\.\d+)?(e-\d+)? bad=0 0 (running|degraded)$", said);
        return said;
    }
}
