using System.Diagnostics;
using System.Security.Cryptography;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel and its xen-blkfront against our back end.</summary>
public sealed class DiskTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    private const int DiskSize = 32 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_guest_reads_what_the_host_wrote_and_the_host_what_the_guest_wrote()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "disk.img");
        byte[] content = RandomNumberGenerator.GetBytes(DiskSize);
        await File.WriteAllBytesAsync(image, content, Cancellation);
        ToolResult result = await RunAsync(
            host,
            $"vcpus = 2\ndisk = [ 'file:{image},xvda,w', '{image}.ro,raw,xvdb,ro' ]",
            """
            sha256sum /dev/xvda | sed 's/^/read=/'
            dd if=/dev/xvda of=/dev/xvda bs=1M seek=16 count=16 conv=notrunc,fsync
            sed 's/^/cache=/' /sys/block/xvda/queue/write_cache
            ls /sys/block/xvda/mq | wc -l | sed 's/^/queues=/'
            blockdev --getro /dev/xvdb | sed 's/^/readonly=/'
            poweroff -f

            """,
            () => File.Copy(image, image + ".ro"));
        Assert.Contains($"read={Convert.ToHexStringLower(SHA256.HashData(content))}", result.Output, StringComparison.Ordinal);
        Assert.Contains("cache=write back", result.Output, StringComparison.Ordinal);
        Assert.Contains("queues=2", result.Output, StringComparison.Ordinal);
        Assert.Contains("readonly=1", result.Output, StringComparison.Ordinal);
        Assert.Equal(SHA256.HashData(content), SHA256.HashData(await File.ReadAllBytesAsync(image + ".ro", Cancellation)));
        content.AsSpan(0, DiskSize / 2).CopyTo(content.AsSpan(DiskSize / 2));
        Assert.Equal(SHA256.HashData(content), SHA256.HashData(await File.ReadAllBytesAsync(image, Cancellation)));
    }

    /// <remarks>
    /// With persistent grants Linux's front end has a page for each segment of each place of each ring, at once: 16 pages and 256 segments would be 514 MiB a ring.
    /// </remarks>
    [Theory]
    [InlineData(4, 512, 256, 2, false)]
    [InlineData(2, 128, 64, 1, true)]
    public async Task Rings_of_several_pages_and_large_indirect_requests_carry_what_they_should(int order, int places, int segments, int queues, bool persistent)
    {
        if (persistent)
        {
            Host.SkipUnlessAll();
        }

        await using Host host = Host.Create();
        string source = Path.Combine(host.Home, "source.img");
        string target = Path.Combine(host.Home, "target.img");
        byte[] content = RandomNumberGenerator.GetBytes(DiskSize);
        await File.WriteAllBytesAsync(source, content, Cancellation);
        await File.WriteAllBytesAsync(target, new byte[DiskSize], Cancellation);
        string options = $"max_ring_page_order={order} max_indirect_segments={segments} max_queues={queues} feature_persistent={(persistent ? 1 : 0)}";
        string path = host.Configuration(
            "large",
            $"""
            memory = 256
            vcpus = 2
            {files.Boot}
            extra += " {string.Join(' ', options.Split(' ').Select(option => $"xen_blkfront.{option}"))}"
            disk = [ 'file:{source},xvda,r', 'file:{target},xvdb,w' ]
            """);
        using Process xm = host.Start("xm", ["create", "-c", path]);
        using Conversation console = new(xm);

        // 640 requests from each vCPU, so that each place of each ring is used; then the largest ones, as many at a time as there are.
        await console.TypeAsync(
            """
            copy() { dd if=/dev/xvda of=/dev/xvdb bs=$1 count=$2 skip=$3 seek=$3 iflag=direct oflag=direct conv=notrunc 2>/dev/null || echo fail''ed; }
            cd /sys/block/xvdb; echo ta''gs=$(cat mq/*/nr_tags) segments=$(cat queue/max_segments) kib=$(cat queue/max_hw_sectors_kb)
            for cpu in 1 2; do taskset -p $cpu $$ >/dev/null; copy 4k 640 $(((cpu - 1) * 640)); done; taskset -p 3 $$ >/dev/null; echo sm''all=1

            """);
        await console.UntilAsync("tags=");
        Assert.Equal($"{string.Join(' ', Enumerable.Repeat(places, queues))} segments={segments} kib={segments * 4}", await console.UntilAsync("\r"));
        await console.UntilAsync("small=1");
        const string front = "/local/domain/1/device/vbd/51728";
        Assert.Equal($"{order}", (await host.SucceedAsync("xenstore-read", $"{front}/ring-page-order")).Output.Trim());
        if (queues > 1)
        {
            Assert.Equal($"{queues}", (await host.SucceedAsync("xenstore-read", $"{front}/multi-queue-num-queues")).Output.Trim());
        }

        string rings = (await host.SucceedAsync("xenstore-list", queues > 1 ? $"{front}/queue-{queues - 1}" : front)).Output;
        Assert.Equal(1 << order, rings.Split('\n').Count(node => node.StartsWith("ring-ref", StringComparison.Ordinal)));
        await console.TypeAsync("i=5; while [ $i -lt 32 ]; do copy 1M 1 $i & i=$((i + 1)); done; wait; echo la''rge=1\n");
        await console.UntilAsync("large=1");
        string counters = (await host.SucceedAsync("xm", "block-list", "-l", "large")).Output;
        Assert.Contains($"wr_req={1280 + (27 * 256 / segments)} f_req=0 ds_req=0 rd_sect=8 wr_sect=65536 errors=0 queues={queues}", counters, StringComparison.Ordinal);
        Assert.DoesNotMatch(@"51728.* -1 ", counters);
        await console.TypeAsync("poweroff -f\n");
        Assert.Equal(0, await console.EndAsync());
        Assert.DoesNotContain("failed", console.Said, StringComparison.Ordinal);
        Assert.Equal(SHA256.HashData(content), SHA256.HashData(await File.ReadAllBytesAsync(target, Cancellation)));
    }

    /// <remarks>The protocol tells a front end of a new size and of nothing else: docs/guide/disks.md.</remarks>
    [Fact]
    public async Task Another_medium_is_read_once_the_guest_keeps_nothing_of_the_one_before()
    {
        await using Host host = Host.Create();
        (string first, string second, string third) = (await MediumAsync(host, "first", 4), await MediumAsync(host, "second", 8), await MediumAsync(host, "third", 8));
        string path = host.Configuration("cd", $"memory = 192\n{files.Boot}\ndisk = [ 'file:{host.Home}/first.iso,xvdc:cdrom,r' ]");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteLineAsync("sum() { echo su''m=$(sha256sum /dev/xvdc | cut -d' ' -f1); }; size() { until [ $(cat /sys/block/xvdc/size) = $1 ]; do :; done; }");
        Assert.Equal(first, await AskAsync("sum"));
        Assert.Equal("sum=removable-1,ro-1", await AskAsync("echo su''m=removable-$(cat /sys/block/xvdc/removable),ro-$(cat /sys/block/xvdc/ro)"));

        // Nobody has the drive open: Linux keeps nothing of it.
        await ChangeAsync("file:{home}/second.iso,xvdc:cdrom,r");
        Assert.Equal(second, await AskAsync("size 16384; sum"));

        // Somebody has, and the size is the same: what was read stays until it is dropped.
        await AskAsync("exec 5</dev/xvdc; sum");
        await ChangeAsync("file:{home}/third.iso,xvdc:cdrom,r");
        Assert.Equal(second, await AskAsync("sum"));
        Assert.Equal(third, await AskAsync("blockdev --flushbufs /dev/xvdc; sum"));
        await ChangeAsync("file:{home}/second.iso,xvdc:cdrom,r");
        Assert.Equal(second, await AskAsync("exec 5<&-; sum"));

        // The drive may be empty, and its file may go then.
        await ChangeAsync("vdev=xvdc,devtype=cdrom");
        Assert.Equal("sum=0", await AskAsync("size 0; echo su''m=$(wc -c </dev/xvdc)"));
        Assert.Equal("", (await host.SucceedAsync("xenstore-read", "/local/domain/0/backend/vbd/1/51744/physical-device-path")).Output.Trim());
        File.Delete(Path.Combine(host.Home, "second.iso"));
        await ChangeAsync("file:{home}/first.iso,xvdc:cdrom,r");
        Assert.Equal(first, await AskAsync("size 8192; sum"));
        ToolResult refused = await host.XmAsync("block-configure", "cd", $"file:{host.Home}/second.iso,xvdc:cdrom,r");
        Assert.True(refused.ExitCode == 1 && refused.Error.Contains("second.iso does not exist", StringComparison.Ordinal), refused.ToString());
        Assert.Equal(first, await AskAsync("sum"));
        await xm.StandardInput.WriteLineAsync("poweroff -f");
        await xm.WaitForExitAsync(Cancellation);
        Assert.Equal(0, xm.ExitCode);

        async Task<string> AskAsync(string command)
        {
            await xm.StandardInput.WriteLineAsync(command);
            return await GuestConsole.ReadUntilAsync(xm, "sum=");
        }

        Task ChangeAsync(string disk) => host.SucceedAsync("xm", "block-configure", "cd", disk.Replace("{home}", host.Home, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_file_system_of_the_hosts_is_mounted_filled_and_found_in_order()
    {
        Host.SkipUnlessAll();
        Assert.SkipUnless(File.Exists("/usr/sbin/mkfs.ext4"), "mkfs.ext4 (e2fsprogs) is not installed");
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "fs.img");
        MakeFileSystem(image);
        ToolResult result = await RunAsync(
            host,
            $"disk = [ 'file:{image},xvda,w' ]",
            """
            mount -t ext4 /dev/xvda /mnt || mkdir -p /mnt && mount -t ext4 /dev/xvda /mnt
            dd if=/dev/urandom of=/mnt/data bs=64k count=64
            md5sum /mnt/data | cut -d' ' -f1 >/mnt/sum
            umount /mnt && mount -t ext4 /dev/xvda /mnt
            [ "$(md5sum /mnt/data | cut -d' ' -f1)" = "$(cat /mnt/sum)" ] && echo sum=good
            fstrim -v /mnt; umount /mnt
            poweroff -f

            """);
        Assert.Contains("sum=good", result.Output, StringComparison.Ordinal);
        await Ext4.AssertCleanAsync(image);
    }

    [Fact]
    public async Task A_disk_comes_and_goes_while_the_guest_runs_and_xend_is_killed()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "late.img");
        await File.WriteAllBytesAsync(image, new byte[DiskSize], Cancellation);
        await host.SucceedAsync("xm", "create", host.Configuration("late", $"memory = 192\n{files.Boot}"));
        await host.SucceedAsync("xm", "block-attach", "late", $"file:{image}", "xvdb", "w");
        Assert.Equal("connected", (await host.SucceedAsync("xenstore-read", "/local/domain/0/backend/vbd/1/51728/hotplug-status")).Output.Trim());
        await host.UntilAsync("/local/domain/0/backend/vbd/1/51728/state", "4");
        await host.KillDaemonAsync();

        Assert.Matches(@"51728\s+0\s+0\s+4", (await host.SucceedAsync("xm", "block-list", "late")).Output);
        await host.SucceedAsync("xm", "block-detach", "late", "xvdb");
        Assert.DoesNotContain("51728", (await host.SucceedAsync("xm", "block-list", "late")).Output, StringComparison.Ordinal);
        await host.SucceedAsync("xm", "destroy", "late");
        Assert.DoesNotContain("51728", (await host.SucceedAsync("xenstore-ls", "/local/domain")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_synced_outlives_the_domain_process()
    {
        Host.SkipUnlessAll();
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "sync.img");
        await File.WriteAllBytesAsync(image, new byte[DiskSize], Cancellation);
        string path = host.Configuration("sync", $"memory = 192\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteLineAsync(
            "i=0; while true; do printf '%-4096s' $i | dd of=/dev/xvda bs=4096 seek=$((i % 4096)) conv=notrunc,fsync 2>/dev/null && echo kept=$i; i=$((i+1)); done");
        await xm.StandardInput.FlushAsync(Cancellation);
        int last = -1;
        while (last < 20)
        {
            string line = await xm.StandardOutput.ReadLineAsync(Cancellation) ?? throw new EndOfStreamException("the console ended");
            last = line.Contains("kept=", StringComparison.Ordinal) && int.TryParse(line.Trim().Split("kept=")[^1], out int number) ? number : last;
        }

        using (Process machine = Process.GetProcessById(DomainProcesses.OfDomain(host)))
        {
            machine.Kill();
            await machine.WaitForExitAsync(Cancellation);
        }

        byte[] content = await File.ReadAllBytesAsync(image, Cancellation);
        for (int i = 0; i <= last; i++)
        {
            Assert.Equal($"{i}", System.Text.Encoding.ASCII.GetString(content, i * 4096, 4096).TrimEnd());
        }

        xm.Kill(entireProcessTree: true);
    }

    /// <summary>Makes a medium of so many MiB.</summary>
    /// <returns>What the guest says of it.</returns>
    private static async Task<string> MediumAsync(Host host, string name, int mebibytes)
    {
        byte[] content = RandomNumberGenerator.GetBytes(mebibytes << 20);
        await File.WriteAllBytesAsync(Path.Combine(host.Home, $"{name}.iso"), content, Cancellation);
        return $"sum={Convert.ToHexStringLower(SHA256.HashData(content))}";
    }

    private static void MakeFileSystem(string image)
    {
        using (FileStream file = File.Create(image))
        {
            file.SetLength(DiskSize);
        }

        using Process make = Process.Start(new ProcessStartInfo("/usr/sbin/mkfs.ext4", ["-q", image]))!;
        make.WaitForExit();
        Assert.Equal(0, make.ExitCode);
    }

    private async Task<ToolResult> RunAsync(Host host, string settings, string script, Action? prepare = null)
    {
        prepare?.Invoke();
        string path = host.Configuration("disk", $"memory = 192\n{files.Boot}\n{settings}");
        ToolResult result = await host.RunAsync("xm", ["create", "-c", path], script);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }
}
