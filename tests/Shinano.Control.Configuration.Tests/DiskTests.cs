using Shinano.Control.Configuration.Disks;

namespace Shinano.Control.Configuration.Tests;

public sealed class DiskTests
{
    [Theory]
    [InlineData("phy:/dev/vg/root,xvda,w", "/dev/vg/root", null, "xvda", 51712, false, false)]
    [InlineData("file:/x.iso,hdc:cdrom,r", "/x.iso", null, "hdc", 5632, true, true)]
    [InlineData("qcow2:/x.q,xvdb,w", "/x.q", DiskFormat.Qcow2, "xvdb", 51728, false, false)]
    [InlineData("tap:aio:/x,xvda1,r", "/x", DiskFormat.Raw, "xvda1", 51713, true, false)]
    [InlineData("/x,raw,xvda,rw", "/x", DiskFormat.Raw, "xvda", 51712, false, false)]
    [InlineData("/x,,hda", "/x", null, "hda", 768, false, false)]
    [InlineData("/x, xvda", "/x", null, "xvda", 51712, false, false)]
    [InlineData("format=qcow2, vdev=xvdq, access=ro, target=/a,b", "/a,b", DiskFormat.Qcow2, "xvdq", 268439552, true, false)]
    [InlineData("vdev=hdc,devtype=cdrom,access=r", null, null, "hdc", 5632, true, true)]
    [InlineData("/x,raw,51728,w", "/x", DiskFormat.Raw, "xvdb", 51728, false, false)]
    [InlineData("/x,raw,d1p2,w", "/x", DiskFormat.Raw, "xvdb2", 51730, false, false)]
    public void Disks_are_read_in_the_forms_of_xm_and_xl(
        string text, string? target, DiskFormat? format, string device, int number, bool readOnly, bool cdrom)
    {
        (DiskConfiguration? disk, string? problem, _, _) = DiskString.Read(text);
        Assert.True(disk is not null, problem);
        Assert.Equal((target, format, device, number, readOnly, cdrom), (disk.Target, disk.Format, disk.VirtualDevice, disk.Number, disk.ReadOnly, disk.IsCdrom));
    }

    [Theory]
    [InlineData("vol:tank/solaris,xvda,w", "tank/solaris")]
    [InlineData("phy:/dev/zvol/dsk/tank/solaris,xvda,w", "tank/solaris")]
    [InlineData("/dev/zvol/dsk/tank/a/b,xvda,w", "tank/a/b")]
    public void Volumes_are_named_by_pool_and_name(string text, string volume)
    {
        DiskConfiguration disk = DiskString.Read(text).Disk!;
        Assert.Equal((volume, null), (disk.Volume, disk.Target));
    }

    [Theory]
    [InlineData("", "virtual device is missing", 0)]
    [InlineData("/x,raw", "virtual device is missing", 0)]
    [InlineData("/x,raw,xvda,q", "'q' is no access", 12)]
    [InlineData("/x,raw,foo,w", "'foo' is no virtual device", 7)]
    [InlineData("/x,vhd,xvda,w", "vhd is not supported", 3)]
    [InlineData("nbd:x,xvda,w", "'nbd:' is no prefix", 0)]
    [InlineData("/x,raw,xvda,w,more", "one value too many", 14)]
    [InlineData("/x,raw,xvda,w,mode=3", "'mode' is no key", 14)]
    [InlineData("vol:tank,xvda,w", "is no volume", 0)]
    [InlineData("vol:tank/../x,xvda,w", "is no volume", 0)]
    [InlineData(",raw,xvda,w", "only a cdrom may be empty", 0)]
    public void What_is_wrong_is_named_where_it_stands(string text, string message, int at)
    {
        (DiskConfiguration? disk, string? problem, int place, _) = DiskString.Read(text);
        Assert.Null(disk);
        Assert.Contains(message, problem, StringComparison.Ordinal);
        Assert.Equal(at, place);
    }

    [Fact]
    public void An_error_names_line_and_column_in_the_file()
    {
        ConfigurationText text = new("f.cfg", "name='a'\nkernel='/k'\ndisk = [ 'file:/a,xvda,w',\n  'file:/b,oops,w' ]\n", []);
        ConfigurationResult result = ConfigurationReader.Read(text, strict: false);
        Assert.Contains("f.cfg:4:12: error: 'oops' is no virtual device", string.Join('\n', result.Diagnostics), StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_is_used_once() => Assert.Contains(
        "'xvda' is used twice",
        string.Join('\n', ConfigurationReader.Read(new("f", "name='a'\nkernel='/k'\ndisk=['/a,raw,xvda,w','/b,raw,xvda,w']", []), false).Diagnostics),
        StringComparison.Ordinal);

    [Fact]
    public void Names_and_numbers_lead_to_each_other()
    {
        foreach (string name in (string[])["xvda", "xvdp15", "xvdq", "xvdaa3", "hda1", "hdd63", "sda", "sdp15"])
        {
            Assert.True(VirtualDiskName.TryParse(name, out int number));
            Assert.Equal(name, VirtualDiskName.NameOf(number));
        }
    }

    [Fact]
    public void No_text_is_too_strange()
    {
        const int Seed = 20261124;
        Random random = new(Seed);
        const string Letters = ",:=/ xvdahsp019rw!'\0\ncdromformatqcow2target.";
        for (int i = 0; i < 20000; i++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(40)).Select(_ => Letters[random.Next(Letters.Length)])]);
            (DiskConfiguration? disk, string? problem, int at, _) = DiskString.Read(text);
            Assert.True((disk is null) != (problem is null), $"seed {Seed}, round {i}: {text}");
            Assert.InRange(at, 0, text.Length);
        }
    }
}
