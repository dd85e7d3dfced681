using System.Buffers.Binary;
using Shinano.Devices.Display.Input;
using Shinano.Devices.Display.Surface;
using Shinano.Rfb;

namespace Shinano.Devices.Display.Tests;

/// <summary>What viewers type and point at.</summary>
public sealed class InputTests
{
    private static readonly SurfaceMode Mode = new(100, 50, 400, PixelFormat.Rgb32);

    [Fact]
    public async Task Symbols_become_keys_of_a_US_keyboard_with_shift_where_it_has_one()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.TypeAsync("a!\n", Rig.Token);

        // KEY_A is 30, KEY_1 2, KEY_LEFTSHIFT 42, KEY_ENTER 28.
        Assert.Equal(["30+", "30-", "42+", "2+", "42-", "2-", "28+", "28-"], await rig.Input.TakeAsync(8, Rig.Token));
    }

    [Fact]
    public async Task Shift_is_left_to_viewers_that_send_it()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.KeyAsync(0xffe1, true, Rig.Token);
        await viewer.TypeAsync("A", Rig.Token);
        await viewer.KeyAsync(0xffe1, false, Rig.Token);
        Assert.Equal(["42+", "30+", "30-", "42-"], await rig.Input.TakeAsync(4, Rig.Token));
    }

    [Fact]
    public async Task Capitals_under_caps_lock_need_no_shift()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.KeyAsync(0xffe5, true, Rig.Token);
        await viewer.KeyAsync(0xffe5, false, Rig.Token);
        await viewer.TypeAsync("A", Rig.Token);
        Assert.Equal(["58+", "58-", "30+", "30-"], await rig.Input.TakeAsync(4, Rig.Token));
    }

    [Fact]
    public async Task Places_of_keys_count_more_than_their_symbols()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        byte[] message = new byte[12];
        message[0] = 255;
        message[3] = 1;
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(4), 'z');

        // Where a US keyboard has y, and then the right control key, which has a prefix.
        message[11] = 21;
        await viewer.SendAsync(message, Rig.Token);
        message[11] = 0x80 | 0x1d;
        await viewer.SendAsync(message, Rig.Token);
        Assert.Equal(["21+", "97+"], await rig.Input.TakeAsync(2, Rig.Token));
    }

    [Fact]
    public async Task Keys_of_a_viewer_that_leaves_are_let_go()
    {
        await using Rig rig = new(Mode);
        RfbViewer viewer = await rig.ConnectAsync();
        await viewer.KeyAsync(0xffe3, true, Rig.Token);
        await viewer.KeyAsync('c', true, Rig.Token);
        Assert.Equal(["29+", "46+"], await rig.Input.TakeAsync(2, Rig.Token));
        viewer.Dispose();
        Assert.Equal(["29-", "46-"], await rig.Input.TakeAsync(2, Rig.Token));
    }

    [Fact]
    public async Task The_pointer_stays_inside_the_picture()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.PointerAsync(7, 8, 1, Rig.Token);
        await viewer.PointerAsync(65535, 65535, 0, Rig.Token);
        Assert.Equal(["7,8,1", "99,49,0"], await rig.Input.TakeAsync(2, Rig.Token));
    }

    [Fact]
    public void Every_printable_character_has_a_key() =>
        Assert.All(Enumerable.Range(' ', '~' - ' ' + 1), symbol => Assert.InRange(KeyTable.OfSymbol((uint)symbol, out _), 1, 127));

    [Fact]
    public void Scan_codes_have_the_codes_that_Linux_gives_them()
    {
        // drivers/input/keyboard/atkbd.c numbers the keys of set 1 below 0x54 as Linux does; those behind 0xe0 have places of their own.
        Assert.All(Enumerable.Range(1, 0x53), code => Assert.Equal(code, KeyTable.OfScanCode((uint)code)));
        Assert.Equal(103, KeyTable.OfScanCode(0x80 | 0x48));
        Assert.Equal(111, KeyTable.OfScanCode(0x80 | 0x53));
        Assert.Equal(0, KeyTable.OfScanCode(0));
        Assert.Equal(0, KeyTable.OfScanCode(0xffffffff));
    }
}
