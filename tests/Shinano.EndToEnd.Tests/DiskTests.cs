using System.Security.Cryptography;

namespace Shinano.EndToEnd.Tests;

/// <summary>Debian's kernel and its xen-blkfront against our back end.</summary>
public sealed class DiskTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    private const int DiskSize = 64 << 20;

    [Fact]
    public async Task A_guest_reads_what_the_host_wrote_and_the_host_what_the_guest_wrote()
    {
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "disk.img");
        byte[] content = RandomNumberGenerator.GetBytes(DiskSize);
        await File.WriteAllBytesAsync(image, content, TestContext.Current.CancellationToken);
        string path = host.Configuration("disk", $"memory = 192\nvcpus = 2\n{files.Boot}\ndisk = [ 'file:{image},xvda,w' ]");
        ToolResult result = await host.RunAsync(
            "xm",
            ["create", "-c", path],
            """
            sha256sum /dev/xvda | sed 's/^/read=/'
            dd if=/dev/xvda of=/dev/xvda bs=1M skip=0 seek=32 count=32 conv=notrunc,fsync && sync
            cat /sys/block/xvda/queue/max_segments | sed 's/^/segments=/'
            cat /sys/block/xvda/queue/write_cache | sed 's/^/cache=/'
            ls -d /sys/block/xvda/mq/* | wc -l | sed 's/^/queues=/'
            poweroff -f

            """);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains($"read={Convert.ToHexStringLower(SHA256.HashData(content))}", result.Output, StringComparison.Ordinal);
        Assert.Contains("cache=write back", result.Output, StringComparison.Ordinal);
        Assert.Contains("queues=2", result.Output, StringComparison.Ordinal);
        content.AsSpan(0, DiskSize / 2).CopyTo(content.AsSpan(DiskSize / 2));
        Assert.Equal(SHA256.HashData(content), SHA256.HashData(await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken)));
    }
}
