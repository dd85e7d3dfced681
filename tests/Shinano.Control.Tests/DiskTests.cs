using Microsoft.Extensions.DependencyInjection;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>What xend does for disks, with the double of the domain process.</summary>
public sealed class DiskTests
{
    private const string Front = "/local/domain/1/device/vbd/51712";
    private const string Back = "/local/domain/0/backend/vbd/1/51712";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Nodes_are_laid_out_as_libxl_does_and_removed_at_the_end()
    {
        await using TestHome home = await TestHome.StartAsync();
        string image = Image(home);
        await home.CreateAsync("a", $"disk = ['{image},raw,xvda,w']");
        IXenStoreNodes nodes = Store(home).Nodes;
        (string Node, string Value)[] expected =
        [
            ($"{Front}/backend", Back), ($"{Front}/backend-id", "0"), ($"{Front}/state", "1"), ($"{Front}/virtual-device", "51712"),
            ($"{Front}/device-type", "disk"), ($"{Back}/frontend", Front), ($"{Back}/frontend-id", "1"), ($"{Back}/online", "1"), ($"{Back}/params", image),
            ($"{Back}/type", "phy"), ($"{Back}/mode", "w"), ($"{Back}/dev", "xvda"), ($"{Back}/removable", "0"), ($"{Back}/bootable", "1"),
            ($"{Back}/hotplug-status", "connected"), ($"{Back}/physical-device-path", image),
        ];
        Assert.All(expected, e => Assert.Equal(e.Value, nodes.TryReadString(e.Node)));
        Assert.Matches("^[0-9a-f]+:[0-9a-f]+$", nodes.TryReadString($"{Back}/physical-device"));
        Assert.Equal(["n1", "r0"], nodes.TryGetPermissions($"{Front}/state")!.Select(p => p.ToString()));
        Assert.Equal(["n0", "r1"], nodes.TryGetPermissions($"{Back}/params")!.Select(p => p.ToString()));
        await home.Client.DestroyAsync("a", Cancellation);
        Assert.Null(nodes.TryList("/local/domain/0/backend/vbd/1"));
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task Disks_are_attached_listed_and_detached()
    {
        await using TestHome home = await TestHome.StartAsync();
        Image(home);
        await home.CreateAsync("a");
        await home.Client.AttachDiskAsync("a", new DiskRequest("file:disk.img,xvda,r", home.Directory), Cancellation);
        DiskDetails disk = Assert.Single(await home.Client.ListDisksAsync("a", Cancellation));
        Assert.Equal(("51712", "xvda", "r", Path.Combine(home.Directory, "disk.img")), (disk.Id, disk.VirtualDevice, disk.Mode, disk.Parameters));
        XendFailureException again = await Assert.ThrowsAsync<XendFailureException>(() =>
            home.Client.AttachDiskAsync("a", new DiskRequest("disk.img,raw,xvda,w", home.Directory), Cancellation));
        Assert.Equal(DomainFailureCode.Duplicate, again.Failure.Code);
        await home.Client.DetachDiskAsync("a", new DetachRequest("xvda", false), Cancellation);
        Assert.Empty(await home.Client.ListDisksAsync("a", Cancellation));
        Assert.Null(Store(home).Nodes.TryReadString(Front + "/state"));
        await Assert.ThrowsAsync<XendFailureException>(() => home.Client.DetachDiskAsync("a", new DetachRequest("xvda", false), Cancellation));
    }

    [Fact]
    public async Task A_file_that_is_not_there_or_a_volume_without_pools_makes_no_domain()
    {
        await using TestHome home = await TestHome.StartAsync();
        XendFailureException missing = await Assert.ThrowsAsync<XendFailureException>(() => home.CreateAsync("a", "disk = ['/nowhere,raw,xvda,w']"));
        Assert.Contains("xvda: /nowhere does not exist", missing.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<XendFailureException>(() => home.CreateAsync("a", "disk = ['vol:tank/x,xvda,w']"));
        await home.AssertNothingLeftAsync(Store(home));
    }

    [Fact]
    public async Task A_script_sees_the_event_and_may_refuse_the_disk()
    {
        await using TestHome home = await TestHome.StartAsync();
        Image(home);
        await home.CreateAsync("a");
        string scripts = Directory.CreateDirectory(Path.Combine(home.Paths.StateDirectory, "scripts")).FullName;
        string script = Path.Combine(scripts, "vbd-event");
        string log = Path.Combine(home.Directory, "events");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\necho $1 $XENBUS_PATH $XENBUS_TYPE >>{log}\n[ -z \"$(ls {home.Directory}/refuse 2>/dev/null)\" ] || {{ echo not today >&2; exit 3; }}\n", Cancellation);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        DiskRequest request = new("disk.img,raw,xvda,w", home.Directory);
        await home.Client.AttachDiskAsync("a", request, Cancellation);
        await home.Client.DetachDiskAsync("a", new DetachRequest("51712", false), Cancellation);
        Assert.Equal(["add backend/vbd/1/51712 vbd", "remove backend/vbd/1/51712 vbd"], await File.ReadAllLinesAsync(log, Cancellation));
        await File.WriteAllTextAsync(Path.Combine(home.Directory, "refuse"), "", Cancellation);
        XendFailureException refused = await Assert.ThrowsAsync<XendFailureException>(() => home.Client.AttachDiskAsync("a", request, Cancellation));
        Assert.Contains("exit code 3: not today", refused.Message, StringComparison.Ordinal);
        Assert.Null(Store(home).Nodes.TryReadString(Back + "/state"));
    }

    private static LocalStore Store(TestHome home) => home.Host.Services.GetRequiredService<LocalStore>();

    private static string Image(TestHome home)
    {
        string path = Path.Combine(home.Directory, "disk.img");
        File.WriteAllBytes(path, new byte[4096]);
        return path;
    }
}
