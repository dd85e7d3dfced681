using System.Text;
using Shinano.Devices.Display.Rfb;
using Shinano.Devices.Display.Surface;
using Shinano.Rfb;

namespace Shinano.Devices.Display.Tests;

/// <summary>Viewers that send anything: they are cut off, others go on, and nothing throws.</summary>
public sealed class HostileViewerTests
{
    private static readonly SurfaceMode Mode = new(64, 48, 256, PixelFormat.Rgb32);

    /// <summary>SHINANO_FUZZ_SECONDS makes a short run a long one; the seed is told at a failure.</summary>
    private static readonly int Seconds = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_FUZZ_SECONDS"), out int seconds) ? seconds : 0;

    [Fact]
    public void Random_bytes_are_messages_need_more_or_are_malformed()
    {
        int seed = Environment.TickCount;
        Random random = new(seed);
        byte[] bytes = new byte[256];
        byte[] types = [0, 2, 3, 4, 5, 6, 251, 255];
        long end = Environment.TickCount64 + (Seconds * 1000L);
        for (int i = 0; i < 20_000 || Environment.TickCount64 < end; i++)
        {
            random.NextBytes(bytes);
            bytes[0] = random.Next(4) > 0 ? types[random.Next(types.Length)] : bytes[0];
            int length = random.Next(bytes.Length);
            ParseStatus status = ClientMessageParser.TryParse(bytes.AsSpan(0, length), out ClientMessage? message, out int consumed, out string? fault);
            string trace = $"seed {seed}, round {i}: {status}";
            Assert.True(status == ParseStatus.Complete ? message is not null && consumed > 0 && consumed <= length : message is null || fault is not null, trace);
            Assert.True(status == ParseStatus.Malformed == fault is not null, trace);
            Assert.True(status != ParseStatus.NeedMore || consumed == 0, trace);

            // What is short now and whole later is the same message.
            if (status == ParseStatus.Complete)
            {
                for (int cut = 0; cut < consumed; cut++)
                {
                    Assert.True(
                        ClientMessageParser.TryParse(bytes.AsSpan(0, cut), out _, out _, out _) == ParseStatus.NeedMore, $"{trace}, cut at {cut}");
                }
            }
        }
    }

    [Fact]
    public async Task A_conversation_byte_by_byte_is_the_same_as_whole()
    {
        await using Rig rig = new(Mode);
        (Stream stream, _) = rig.Open();
        byte[] all = [.. Encoding.ASCII.GetBytes("RFB 003.008\n"), 1, 1, 4, 1, 0, 0, 0, 0, 0, (byte)'q', 6, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9, 5, 2, 0, 3, 0, 4];
        foreach (byte one in all)
        {
            await stream.WriteAsync(new[] { one }, Rig.Token);
        }

        Assert.Equal(["16+", "3,4,2"], await rig.Input.TakeAsync(2, Rig.Token));
        await stream.DisposeAsync();
    }

    [Fact]
    public async Task Random_viewers_are_cut_off_and_leave_the_display_to_others()
    {
        int seed = Environment.TickCount;
        Random random = new(seed);
        await using Rig rig = new(Mode, options => options with { MaximumViewers = 4 });
        using RfbViewer witness = await rig.ConnectAsync();
        long end = Environment.TickCount64 + (Seconds * 1000L);
        for (int i = 0; i < 150 || Environment.TickCount64 < end; i++)
        {
            (Stream stream, Task session) = rig.Open();
            byte[] bytes = new byte[random.Next(1, 600)];
            random.NextBytes(bytes);
            bool polite = random.Next(3) > 0;
            try
            {
                if (polite)
                {
                    await stream.WriteAsync(Encoding.ASCII.GetBytes("RFB 003.008\n\u0001\u0001"), Rig.Token);
                    bytes[0] = (byte)random.Next(8);
                }

                await stream.WriteAsync(bytes, Rig.Token);
            }
            catch (IOException)
            {
                // Cut off already.
            }

            await stream.DisposeAsync();
            await session;
            Assert.True(rig.Server.ViewerCount == 1, $"seed {seed}, round {i}");
        }

        rig.Surface.Draw(new PixelArea(0, 0, 64, 48), (_, _) => 5);
        await witness.RequestAsync(incremental: false, Rig.Token);
        await witness.ReadUpdateAsync(Rig.Token);
        Assert.True(witness.Pixels.All(pixel => pixel == 5), $"seed {seed}");
        Assert.DoesNotContain(rig.Log, line => line.Contains("   at ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("colour map", new byte[] { 0, 0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData("12 bits per pixel", new byte[] { 0, 0, 0, 0, 12, 8, 0, 1, 0, 7, 0, 7, 0, 3, 5, 2, 0, 0, 0, 0 })]
    [InlineData("2^N - 1", new byte[] { 0, 0, 0, 0, 32, 24, 0, 1, 0, 100, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0 })]
    [InlineData("does not fit", new byte[] { 0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 12, 5, 0, 0, 0, 0 })]
    [InlineData("message type 77", new byte[] { 77 })]
    [InlineData("encodings", new byte[] { 2, 0, 0xff, 0xff })]
    [InlineData("a clipboard of", new byte[] { 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff })]
    public async Task What_is_not_understood_is_named_in_the_log(string words, byte[] message)
    {
        await using Rig rig = new(Mode);
        (Stream stream, Task session) = rig.Open();
        using RfbViewer viewer = new(stream);
        Assert.Null(await viewer.ConnectAsync("003.008", null, Rig.Token));
        await viewer.SendAsync(message, Rig.Token);
        await session;
        Assert.Contains(rig.Log, line => line.Contains(words, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Requests_of_areas_outside_the_picture_are_answered_with_what_is_inside()
    {
        await using Rig rig = new(Mode);
        using RfbViewer viewer = await rig.ConnectAsync();
        await viewer.SendAsync([3, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Rig.Token);
        await viewer.SendAsync([3, 0, 0, 60, 0, 40, 0xff, 0xff, 0xff, 0xff], Rig.Token);
        await viewer.ReadUpdateAsync(Rig.Token);
        Assert.NotEmpty(viewer.Encodings);
    }
}
