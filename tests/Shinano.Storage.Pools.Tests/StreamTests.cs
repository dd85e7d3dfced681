using System.Security.Cryptography;
using Shinano.Linux;

namespace Shinano.Storage.Pools.Tests;

/// <summary>send and receive, and the bytes between them (docs/formats/volume-stream.md).</summary>
public sealed class StreamTests : IDisposable
{
    private const int Mib = 1 << 20;

    private readonly PoolHome _home = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private DirectoryPool Pool => _home.Pool;

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task Full_and_incremental_streams_rebuild_a_volume()
    {
        await PrepareAsync();
        byte[] full = await SendAsync("tank/v@a", null);
        byte[] change = await SendAsync("tank/v@c", "tank/v@a");
        Assert.True(change.Length < full.Length);
        Assert.Equal("tank/copy@a", await ReceiveAsync("tank/copy", full));
        Assert.Equal(await _home.ReadAsync("tank/v@a"), await _home.ReadAsync("tank/copy"));
        Assert.Equal("cannot receive new volume: destination 'tank/copy' exists", await RefusalAsync("tank/copy", full));
        await _home.WriteAsync("tank/copy", 0, 512, 0x99);
        Assert.StartsWith("cannot receive incremental stream: destination tank/copy has been modified", await RefusalAsync("tank/copy", change), StringComparison.Ordinal);
        Assert.Equal("tank/copy@c", await ReceiveAsync("tank/copy", change, force: true));
        Assert.Equal(await _home.ReadAsync("tank/v@c"), await _home.ReadAsync("tank/copy"));
        Assert.Equal(await _home.ReadAsync("tank/v@a"), await _home.ReadAsync("tank/copy@a"));
        Assert.StartsWith("cannot receive incremental stream: most recent snapshot of tank/copy does not match", await RefusalAsync("tank/copy", change), StringComparison.Ordinal);
        Assert.Contains("is not an earlier snapshot", (await Assert.ThrowsAsync<VolumeException>(() => SendAsync("tank/v@a", "tank/v@c"))).Message, StringComparison.Ordinal);
        await _home.AssertSoundAsync();
    }

    [Fact]
    public async Task A_damaged_stream_leaves_nothing()
    {
        await PrepareAsync();
        byte[] stream = await SendAsync("tank/v@a", null);
        int seed = Random.Shared.Next();
        Random random = new(seed);
        string[] before = await _home.NamesAsync();
        for (int i = 0; i < 60; i++)
        {
            byte[] damaged = [.. stream];
            if (i % 3 == 0)
            {
                damaged = damaged[..random.Next(damaged.Length)];
            }
            else
            {
                damaged[i % 3 == 1 ? random.Next(140) : random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            }

            string message = await RefusalAsync("tank/bad", damaged);
            Assert.True(message.StartsWith("cannot receive", StringComparison.Ordinal), $"seed {seed}, {i}: {message}");
        }

        Assert.Equal(before, await _home.NamesAsync());
        await _home.AssertSoundAsync();
    }

    [Fact]
    public void The_format_is_frozen()
    {
        StreamHeader header = new(
            "today", 1 << 30, DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_123),
            new Guid("00112233-4455-6677-8899-aabbccddeeff"), new Guid("0f0e0d0c-0b0a-0908-0706-050403020100"));
        byte[] bytes = StreamFormat.Encode(header);
        Assert.Equal(
            "5348564F4C535431" + "01000000" + "05000000" + "0000004000000000" + "7B68E5CF8B010000"
                + "00112233445566778899AABBCCDDEEFF" + "0F0E0D0C0B0A09080706050403020100" + new string('0', 56),
            Convert.ToHexString(bytes.AsSpan(0, 92)));
        Assert.Equal("today"u8, bytes.AsSpan(96));
        Assert.Equal(header, StreamFormat.DecodeHeader(bytes.AsSpan(0, 96), bytes.AsSpan(96)));

        // CRC-32C's check value: RFC 3720 names the polynomial, the usual test string gives this.
        Assert.Equal(0xe3069283u, Crc32C.Compute("123456789"u8));
        byte[] record = StreamFormat.Encode(new StreamRecord(StreamRecordKind.PackedData, 0x10000, 0x2000), "123456789"u8);
        Assert.Equal("02000000" + "09000000" + "0000010000000000" + "0020000000000000" + "839206E3", Convert.ToHexString(record.AsSpan(0, 28)));
        Assert.NotNull(StreamFormat.DecodeRecord(record, 1 << 30));
        Assert.Null(StreamFormat.DecodeRecord(record, 0x11000));
    }

    [Fact]
    public async Task The_end_has_the_hash_of_all_before()
    {
        await PrepareAsync();
        byte[] stream = await SendAsync("tank/v@a", null);
        Assert.Equal(SHA256.HashData(stream.AsSpan(0, stream.Length - 64)), stream.AsSpan(stream.Length - 32));
    }

    private async Task PrepareAsync()
    {
        await Pool.CreateAsync(VolumeName.Parse("tank/v"), 8 * Mib, Cancellation);
        byte[] random = new byte[2 * Mib];
        new Random(7).NextBytes(random);
        await using (IBlockImage image = await _home.OpenAsync("tank/v"))
        {
            await image.WriteAsync(4096, random, Cancellation);
        }

        await Pool.SnapshotAsync(VolumeName.Parse("tank/v@a"), Cancellation);
        await _home.WriteAsync("tank/v", 512, 512, 5);
        await Pool.SnapshotAsync(VolumeName.Parse("tank/v@b"), Cancellation);
        await using (IBlockImage image = await _home.OpenAsync("tank/v"))
        {
            await image.WriteZeroesAsync(Mib, Mib / 2, mayUnmap: true, Cancellation);
        }

        await Pool.SnapshotAsync(VolumeName.Parse("tank/v@c"), Cancellation);
    }

    private async Task<byte[]> SendAsync(string snapshot, string? since)
    {
        using MemoryStream stream = new();
        await VolumeSender.SendAsync(Pool, VolumeName.Parse(snapshot), since is null ? null : VolumeName.Parse(since), stream, null, Cancellation);
        return stream.ToArray();
    }

    private Task<string> ReceiveAsync(string name, byte[] stream, bool force = false) =>
        VolumeReceiver.ReceiveAsync(Pool, VolumeName.Parse(name), new MemoryStream(stream), force, null, Cancellation);

    private async Task<string> RefusalAsync(string name, byte[] stream) =>
        (await Assert.ThrowsAsync<VolumeException>(() => ReceiveAsync(name, stream))).Message;
}
