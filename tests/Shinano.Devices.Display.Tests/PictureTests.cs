using CsCheck;
using Shinano.Devices.Display.Surface;
using Shinano.Rfb;

namespace Shinano.Devices.Display.Tests;

/// <summary>What is drawn arrives, in every encoding and format.</summary>
public sealed class PictureTests
{
    private const int Raw = 0;
    private const int Hextile = 5;
    private const int Zrle = 16;

    /// <summary>Bits, depth, big-endian, then maximum and shift of red, green and blue.</summary>
    public static TheoryData<int, int[]> EncodingsAndFormats
    {
        get
        {
            TheoryData<int, int[]> all = [];
            foreach (int encoding in (int[])[Raw, Hextile, Zrle])
            {
                all.Add(encoding, [32, 24, 0, 255, 16, 255, 8, 255, 0]);
                all.Add(encoding, [32, 24, 1, 255, 16, 255, 8, 255, 0]);
                all.Add(encoding, [32, 24, 0, 255, 24, 255, 16, 255, 8]);
                all.Add(encoding, [32, 24, 1, 255, 24, 255, 16, 255, 8]);
                all.Add(encoding, [32, 32, 0, 2047, 0, 2047, 11, 1023, 22]);
                all.Add(encoding, [16, 16, 0, 31, 11, 63, 5, 31, 0]);
                all.Add(encoding, [16, 15, 1, 31, 10, 31, 5, 31, 0]);
                all.Add(encoding, [8, 8, 0, 7, 5, 7, 2, 3, 0]);
                all.Add(encoding, [8, 6, 0, 3, 4, 3, 2, 3, 0]);
            }

            return all;
        }
    }

    [Theory]
    [MemberData(nameof(EncodingsAndFormats))]
    public async Task Arrives(int encoding, int[] format)
    {
        ArgumentNullException.ThrowIfNull(format);
        await using Rig rig = new(new SurfaceMode(203, 149, 203 * 4, PixelFormat.Rgb32));
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.SetFormatAsync(
            format[0], format[1], format[2] == 1, (format[3], format[4]), (format[5], format[6]), (format[7], format[8]), Rig.Token);
        await viewer.SetEncodingsAsync(Rig.Token, encoding);
        foreach (Func<int, int, uint> picture in Pictures(12345))
        {
            rig.Surface.Draw(new PixelArea(0, 0, 203, 149), picture);
            await viewer.RequestAsync(incremental: false, Rig.Token);
            await viewer.ReadUpdateAsync(Rig.Token);
            Assert.Equal(encoding, Assert.Single(viewer.Encodings.Distinct()));
            for (int i = 0; i < viewer.Pixels.Length; i++)
            {
                uint rgb = picture(i % 203, i / 203);
                uint expected = Part(rgb >> 16, format[3], format[4]) | Part(rgb >> 8, format[5], format[6]) | Part(rgb, format[7], format[8]);
                if (expected != viewer.Pixels[i])
                {
                    Assert.Fail($"pixel {i % 203},{i / 203}: {viewer.Pixels[i]:x8}, not {expected:x8}");
                }
            }
        }
    }

    [Fact]
    public void Random_drawings_leave_the_viewer_with_the_picture_that_is_there() =>
        Gen.Select(Gen.Int[1, 200], Gen.Int[1, 200], Gen.Int[0, 2].Select(i => i == 0 ? Raw : i == 1 ? Hextile : Zrle), Gen.Int[0, 199].Array[4].Array[1, 12], Gen.Int[2, 300]).Sample(
            (width, height, encoding, areas, colours) => DrawAsync(width, height, encoding, areas, colours).GetAwaiter().GetResult(), iter: 60);

    [Fact]
    public async Task Unchanged_parts_are_not_sent_again()
    {
        await using Rig rig = new(new SurfaceMode(640, 400, 640 * 4, PixelFormat.Rgb32));
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.RequestAsync(incremental: true, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);

        // Nothing was drawn: the request waits until something is.
        await viewer.RequestAsync(incremental: true, Rig.Token);
        rig.Surface.Draw(new PixelArea(33, 17, 2, 2), (_, _) => 0xffffff);
        viewer.Encodings.Clear();
        await viewer.ReadUpdateAsync(Rig.Token);
        Assert.Single(viewer.Encodings);
        Assert.Equal(4, viewer.Pixels.Count(pixel => pixel == 0xffffff));
    }

    [Theory]
    [InlineData(-223)]
    [InlineData(-308)]
    public async Task A_new_size_is_told_to_viewers_that_follow_it(int pseudo)
    {
        await using Rig rig = new(new SurfaceMode(64, 64, 256, PixelFormat.Rgb32));
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.SetEncodingsAsync(Rig.Token, Zrle, pseudo);
        await viewer.RequestAsync(incremental: false, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        if (pseudo == -308)
        {
            // It is told once that the server knows the extension.
            Assert.Equal([pseudo], viewer.Encodings);
            await viewer.RequestAsync(incremental: false, Rig.Token);
            await viewer.ReadUpdateAsync(Rig.Token);
        }

        rig.Surface.Resize(new SurfaceMode(100, 30, 200, PixelFormat.Rgb565));
        rig.Surface.Draw(new PixelArea(0, 0, 100, 30), (_, _) => 0xf800);
        await viewer.RequestAsync(incremental: true, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        Assert.Equal((100, 30), (viewer.Width, viewer.Height));
        await viewer.RequestAsync(incremental: false, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        Assert.Equal(0xff0000u, Assert.Single(viewer.Pixels.Distinct()));
    }

    [Fact]
    public async Task A_new_size_shows_a_part_to_viewers_that_do_not_follow_it()
    {
        await using Rig rig = new(new SurfaceMode(64, 64, 256, PixelFormat.Rgb32));
        using RfbViewer viewer = await rig.ConnectAsync();
        rig.Surface.Resize(new SurfaceMode(32, 100, 128, PixelFormat.Rgb32));
        rig.Surface.Draw(new PixelArea(0, 0, 32, 100), (_, _) => 0x123456);
        await viewer.RequestAsync(incremental: false, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        Assert.Equal((64, 64), (viewer.Width, viewer.Height));
        Assert.Equal(32 * 64, viewer.Pixels.Count(pixel => pixel == 0x123456));
        Assert.Equal(32 * 64, viewer.Pixels.Count(pixel => pixel == 0));
    }

    [Fact]
    public async Task Several_viewers_share_one_picture()
    {
        await using Rig rig = new(new SurfaceMode(64, 64, 256, PixelFormat.Rgb32));
        using RfbViewer one = await rig.ConnectAsync("003.003");
        using RfbViewer two = await rig.ConnectAsync("003.007");
        Assert.Equal(2, rig.Surface.Viewers);
        rig.Surface.Draw(new PixelArea(0, 0, 64, 64), (x, y) => (uint)((x * 77) ^ y));
        await one.RequestAsync(incremental: false, Rig.Token);
        await two.RequestAsync(incremental: false, Rig.Token);
        await one.ReadUpdateAsync(Rig.Token);
        await two.ReadUpdateAsync(Rig.Token);
        Assert.Equal(one.Pixels, two.Pixels);
        Assert.Equal(77u, one.Pixels[1]);
    }

    [Fact]
    public async Task A_viewer_that_does_not_read_costs_one_band_of_a_frame()
    {
        await using Rig rig = new(new SurfaceMode(2000, 1500, 8000, PixelFormat.Rgb32));
        (Stream stuck, _) = rig.Open();
        using RfbViewer idle = new(stuck);
        Assert.Null(await idle.ConnectAsync("003.008", null, Rig.Token));
        for (int i = 0; i < 50; i++)
        {
            await idle.RequestAsync(incremental: false, Rig.Token);
        }

        // 50 frames of 12 MB were asked for and not read; others go on, and this process has not grown by them.
        using RfbViewer other = await rig.ConnectAsync();
        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < 20; i++)
        {
            rig.Surface.Draw(new PixelArea(i, 0, 1, 1), (_, _) => 1);
            await other.RequestAsync(incremental: true, Rig.Token);
            await other.ReadUpdateAsync(Rig.Token);
        }

        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 20 << 20);
    }

    private static async Task DrawAsync(int width, int height, int encoding, int[][] areas, int colours)
    {
        await using Rig rig = new(new SurfaceMode(width, height, width * 4, PixelFormat.Rgb32));
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.SetEncodingsAsync(Rig.Token, encoding);
        uint[] picture = new uint[width * height];
        await viewer.RequestAsync(incremental: true, Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        foreach (int[] a in areas)
        {
            PixelArea area = new PixelArea(a[0], a[1], a[2] + 1, a[3] + 1).ClipTo(width, height);
            rig.Surface.Draw(area, (x, y) => picture[(y * width) + x] = (uint)((x * a[2]) + (y / 3)) % (uint)colours * 0x10305 & 0xffffff);
            if (!area.IsEmpty)
            {
                await viewer.RequestAsync(incremental: true, Rig.Token);
                await viewer.ReadUpdateAsync(Rig.Token);
            }
        }

        Assert.Equal(picture, viewer.Pixels);
    }

    /// <summary>Pictures for each form of a tile: one colour, two, few, many in runs, many without.</summary>
    private static Func<int, int, uint>[] Pictures(int seed)
    {
        uint[] noise = new uint[203 * 149];
        Random random = new(seed);
        for (int i = 0; i < noise.Length; i++)
        {
            noise[i] = (uint)random.Next(1 << 24);
        }

        return
        [
            (_, _) => 0x336699,
            (x, y) => ((x ^ y) & 3) == 0 ? 0xffffffu : 0u,
            (x, y) => (uint)(x / 5 % 3) * 0x7f7f7f,
            (x, y) => (uint)((x / 16) + (y / 16)) % 13 * 0x101010,
            (x, y) => (uint)((x / 9) + (y * 7)) % 100 * 0x20201,
            (x, y) => (uint)(((x / 40) * 0x1000) + (y * 0x300)),
            (x, y) => noise[(y * 203) + x],
        ];
    }

    private static uint Part(uint value, int maximum, int shift) => (uint)((((value & 0xff) * (long)maximum) + 127) / 255) << shift;
}
