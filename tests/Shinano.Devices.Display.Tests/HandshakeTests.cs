using System.Buffers;
using Shinano.Devices.Display.Rfb;
using Shinano.Devices.Display.Rfb.Security;
using Shinano.Devices.Display.Surface;
using Shinano.Rfb;

namespace Shinano.Devices.Display.Tests;

/// <summary>Versions, passwords, and guesses of them.</summary>
public sealed class HandshakeTests
{
    private static readonly SurfaceMode Mode = new(32, 32, 128, PixelFormat.Rgb32);

    [Theory]
    [InlineData("003.003")]
    [InlineData("003.007")]
    [InlineData("003.008")]
    [InlineData("003.889")]
    public async Task Every_version_gets_in_with_the_password_and_not_without(string version)
    {
        await using Rig rig = new(Mode, options => options with { Password = "pass word" });
        using RfbViewer right = new(rig.Open().Viewer);

        // 3.889 is taken as 3.8, of which the viewer speaks the rest.
        string spoken = version == "003.889" ? "003.008" : version;
        Assert.Null(await right.ConnectAsync(spoken, challenge => VncChallenge.Answer("pass word", challenge), Rig.Token));
        Assert.Equal("test", right.Name);
        using RfbViewer wrong = new(rig.Open().Viewer);
        Assert.NotNull(await wrong.ConnectAsync(spoken, challenge => VncChallenge.Answer("passward", challenge), Rig.Token));
    }

    [Fact]
    public void The_answer_to_a_challenge_is_that_of_other_viewers()
    {
        // openssl enc -des-ecb -nopad with the key cea6c64ea62e0000: "secret" with the bits of each byte in reverse.
        byte[] challenge = Convert.FromHexString("000102030405060708090a0b0c0d0e0f");
        byte[] answer = VncChallenge.Answer("secret", challenge);
        Assert.Equal("ee22539f33a5983ec12f9c2edbc995dd", Convert.ToHexStringLower(answer));
        Assert.Equal(VncChallenge.Answer("12345678", challenge), VncChallenge.Answer("123456789", challenge));
        Assert.NotEqual(answer, VncChallenge.Answer("Secret", challenge));
    }

    [Fact]
    public void Guesses_are_bounded()
    {
        ManualTime time = new();
        AttemptLimit limit = new(time);
        for (int i = 0; i < AttemptLimit.FreeAttempts; i++)
        {
            Assert.True(limit.TryBegin());
            limit.Finish(false);
        }

        Assert.False(limit.TryBegin());
        time.Advance(TimeSpan.FromSeconds(9));
        Assert.False(limit.TryBegin());
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(limit.TryBegin());
        limit.Finish(false);

        // Twice as long, after one more.
        time.Advance(TimeSpan.FromSeconds(19));
        Assert.False(limit.TryBegin());
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(limit.TryBegin());
        limit.Finish(true);
        Assert.True(limit.TryBegin());
        limit.Finish(null);
    }

    [Fact]
    public void Guesses_at_the_same_time_are_bounded_too()
    {
        AttemptLimit limit = new(new ManualTime());
        int begun = 0;
        while (begun < 100 && limit.TryBegin())
        {
            begun++;
        }

        Assert.Equal(AttemptLimit.FreeAttempts, begun);
    }

    [Fact]
    public async Task Who_guesses_too_often_is_told_so()
    {
        await using Rig rig = new(Mode, options => options with { Password = "right", Time = new ManualTime() });
        for (int i = 0; i < AttemptLimit.FreeAttempts; i++)
        {
            using RfbViewer wrong = new(rig.Open().Viewer);
            Assert.Equal("Authentication failed", await wrong.ConnectAsync("003.008", challenge => VncChallenge.Answer("wrong", challenge), Rig.Token));
        }

        foreach (string version in (string[])["003.003", "003.008"])
        {
            using RfbViewer late = new(rig.Open().Viewer);
            string? reason = await late.ConnectAsync(version, challenge => VncChallenge.Answer("right", challenge), Rig.Token);
            Assert.StartsWith("Too many wrong passwords", reason, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task More_viewers_than_there_are_places_for_are_turned_away()
    {
        await using Rig rig = new(Mode, options => options with { MaximumViewers = 1 });
        using RfbViewer first = await rig.ConnectAsync();
        (Stream second, Task session) = rig.Open();
        await session;
        Assert.Equal(0, await second.ReadAsync(new byte[1], Rig.Token));
        second.Dispose();
    }

    [Theory]
    [InlineData("RFB 004.000\n")]
    [InlineData("GET / HTTP/1")]
    [InlineData("RFB 003.0x8\n")]
    [InlineData("RFB 003.008\r")]
    public void Another_protocol_is_refused(string text)
    {
        using Handshake handshake = new(null, new AttemptLimit(TimeProvider.System));
        Assert.Equal(12, handshake.Feed(System.Text.Encoding.ASCII.GetBytes(text), new ArrayBufferWriter<byte>()));
        Assert.True(handshake.IsFailed);
        Assert.NotNull(handshake.Fault);
    }

    [Theory]
    [InlineData("")]
    [InlineData("caf\u00e9")]
    [InlineData("a\tb")]
    public void A_password_that_cannot_be_one_is_named(string text) => Assert.NotNull(VncChallenge.FindFault(text));
}
