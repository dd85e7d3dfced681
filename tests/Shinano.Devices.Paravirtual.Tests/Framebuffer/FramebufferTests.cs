using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;
using Shinano.Devices.Paravirtual.Tests.XenBus;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.Framebuffer;

/// <summary>The framebuffer's and the keyboard's back ends over assembled pages. Every page is unmapped in the end, or the rig fails.</summary>
public sealed class FramebufferTests
{
    private static CancellationToken Token => FramebufferRig.Token;

    [Fact]
    public async Task Pixels_are_read_across_pages()
    {
        await using FramebufferRig rig = new();
        for (int i = 0; i < FramebufferRig.Stride * FramebufferRig.Height; i++)
        {
            rig.Guest.Page((uint)(FramebufferRig.FirstPixels + (i / 4096)))[i % 4096] = (byte)(i / 7);
        }

        await rig.StartAsync("4");
        SurfaceMode mode = rig.Surface.Mode;
        Assert.Equal((FramebufferRig.Width, FramebufferRig.Height, FramebufferRig.Stride), (mode.Width, mode.Height, mode.Stride));
        byte[] row = new byte[40 * 4];
        for (int y = 0; y < FramebufferRig.Height; y++)
        {
            Assert.True(rig.Surface.TryCopyRow(mode, 24, y, row));
            Assert.Equal(Enumerable.Range(0, row.Length).Select(i => (byte)(((y * FramebufferRig.Stride) + 96 + i) / 7)), row);
        }

        Assert.Equal("1", rig.Store["/local/domain/0/backend/vfb/3/0/request-update"]);
        Assert.Equal("1", rig.Store["/local/domain/0/backend/vfb/3/0/feature-resize"]);
    }

    [Fact]
    public async Task Updates_are_announced_and_resizes_taken()
    {
        await using FramebufferRig rig = new();
        TaskCompletionSource<PixelArea> drawn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await rig.StartAsync("4");
        rig.Surface.Drawn += area => drawn.TrySetResult(area);
        rig.Put(2, 1, 2, 30, 40);
        rig.Guest.Send!();
        Assert.Equal(new PixelArea(1, 2, 30, 40), await drawn.Task.WaitAsync(Token));

        TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        SurfaceMode before = rig.Surface.Mode;
        rig.Surface.ModeChanged += () => changed.TrySetResult();
        rig.Put(3, 32, 20, 128, 32, 4096);
        rig.Guest.Send!();
        await changed.Task.WaitAsync(Token);
        rig.Guest.Page(FramebufferRig.FirstPixels + 1)[0] = 99;
        byte[] pixel = new byte[4];
        Assert.False(rig.Surface.TryCopyRow(before, 0, 0, pixel));
        Assert.True(rig.Surface.TryCopyRow(rig.Surface.Mode, 0, 0, pixel));
        Assert.Equal(99, pixel[0]);
    }

    [Fact]
    public async Task A_front_end_that_closes_leaves_black_and_may_come_again()
    {
        await using FramebufferRig rig = new();
        await rig.StartAsync("4");
        SurfaceMode before = rig.Surface.Mode;
        rig.Publish("vfb", "state", "5");
        await rig.UntilAsync("vfb", "5");
        Assert.False(rig.Surface.TryCopyRow(before, 0, 0, new byte[4]));
        Assert.False(rig.Surface.TryCopyRow(rig.Surface.Mode, 0, 0, new byte[4]));
        Assert.Equal(0, rig.Guest.Mapped);
        rig.Publish("vfb", "state", "6");
        await rig.UntilAsync("vfb", "6");
        rig.Publish("vfb", "state", "1");
        await rig.UntilAsync("vfb", "2");
        rig.Publish("vfb", "state", "3");
        await rig.UntilAsync("vfb", "4");
        Assert.True(rig.Surface.TryCopyRow(rig.Surface.Mode, 0, 0, new byte[4]));
    }

    public static TheoryData<int, int, int, int, byte, string> BadHeads => new()
    {
        { 0, 100, 256, FramebufferRig.Memory, 32, "a picture of 0 by 100" },
        { 64, int.MaxValue, 256, FramebufferRig.Memory, 32, "a picture of 64 by" },
        { 64, 100, 255, FramebufferRig.Memory, 32, "a depth of 32 bits with 255" },
        { 64, 100, 127, FramebufferRig.Memory, 16, "too few" },
        { 64, 100, -4, FramebufferRig.Memory, 8, "too few" },
        { 64, 113, 256, FramebufferRig.Memory, 32, "exceed" },
        { 8000, 8000, int.MaxValue, int.MaxValue, 32, "exceed" },
        { 64, 100, 256, -1, 32, "exceed" },
        { 64, 100, 256, int.MaxValue, 32, "are possible" },
        { 64, 100, 256, FramebufferRig.Memory, 4, "a depth of 4" },
        { 64, 100, 256, 8 * 4096, 32, "page 7 of the framebuffer" },
    };

    [Theory]
    [MemberData(nameof(BadHeads))]
    public async Task A_head_that_makes_no_sense_is_named(int width, int height, int stride, int memory, byte depth, string words)
    {
        await using FramebufferRig rig = new();
        rig.WriteHead(width, height, stride, memory, depth);
        await rig.StartAsync("5");
        Assert.Contains(words, rig.Error("vfb"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Frames_that_are_not_the_guests_are_not_mapped()
    {
        await using FramebufferRig pages = new();
        pages.WriteDirectory(6, ulong.MaxValue);
        await pages.StartAsync("5");
        Assert.Contains("page 6 of the framebuffer", pages.Error("vfb"), StringComparison.Ordinal);
        await using FramebufferRig directory = new();
        BinaryPrimitives.WriteUInt64LittleEndian(directory.Shared[40..], 3);
        await directory.StartAsync("5");
        Assert.Contains("directory page 0", directory.Error("vfb"), StringComparison.Ordinal);
        await using FramebufferRig shared = new();
        await shared.StartAsync("5", FakeGuest.FirstFrame + FakeGuest.ReadOnlyFrom);
        Assert.Contains("page-ref", shared.Error("vfb"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keys_buttons_and_positions_arrive()
    {
        await using FramebufferRig rig = new();
        await rig.StartKeyboardAsync(absolute: true);
        rig.Input.Key(30, true);
        rig.Input.Key(30, false);
        rig.Input.Pointer(5, 6, 1);
        rig.Input.Pointer(5, 6, 0x10);
        rig.Input.Pointer(5, 6, 0);
        Assert.Equal(
            [[3, 1, 30, 0, 0], [3, 0, 30, 0, 0], [4, 0, 5, 6, 0], [3, 1, 0x110, 0, 0], [4, 0, 5, 6, 1], [3, 0, 0x110, 0, 0], [4, 0, 5, 6, 0]],
            rig.TakeKeyboard());
    }

    [Fact]
    public async Task A_relative_pointer_is_told_of_movements()
    {
        await using FramebufferRig rig = new();
        await rig.StartKeyboardAsync(absolute: false);
        rig.Input.Pointer(10, 20, 0);
        rig.Input.Pointer(7, 25, 0);
        rig.Input.Pointer(7, 25, 8);
        Assert.Equal([[1, 0, 10, 20, 0], [1, 0, -3, 5, 0], [1, 0, 0, 0, -1]], rig.TakeKeyboard());
    }

    [Fact]
    public async Task A_guest_that_reads_late_gets_keys_in_their_order_up_to_a_bound()
    {
        await using FramebufferRig rig = new();
        await rig.StartKeyboardAsync(absolute: true);
        for (int i = 0; i < 5000; i++)
        {
            rig.Input.Key(i, true);
        }

        List<int> codes = [];
        for (List<int[]> some = rig.TakeKeyboard(); some.Count > 0; some = rig.TakeKeyboard())
        {
            Assert.InRange(some.Count, 1, 51);
            codes.AddRange(some.Select(one => one[2]));
            rig.Guest.Send!();
        }

        // What was on the ring, and what waited.
        Assert.Equal(Enumerable.Range(0, 51 + 1024), codes);
        rig.Input.Key(7, true);
        Assert.Single(rig.TakeKeyboard());
    }

    [Fact]
    public async Task Places_of_the_pointer_that_wait_are_the_last_one()
    {
        await using FramebufferRig rig = new();
        await rig.StartKeyboardAsync(absolute: true);
        for (int i = 0; i < 5000; i++)
        {
            rig.Input.Pointer(i, i, 0);
        }

        Assert.Equal(51, rig.TakeKeyboard().Count);
        rig.Guest.Send!();
        Assert.Equal([[4, 0, 4999, 4999, 0]], rig.TakeKeyboard());
    }

    [Fact]
    public async Task A_keyboard_of_an_older_front_end_names_its_frame()
    {
        await using FramebufferRig rig = new();
        rig.Publish("vkbd", "page-ref", $"{FakeGuest.FirstFrame + FramebufferRig.KeyboardPage}");
        Assert.Null(rig.Guest.TryMap(new GrantRef(1000), writable: true));
        await rig.StartKeyboardAsync(absolute: true);
        rig.Input.Key(1, true);
        Assert.Single(rig.TakeKeyboard());
    }
}
