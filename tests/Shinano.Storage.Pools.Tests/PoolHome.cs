using Shinano.Linux;

namespace Shinano.Storage.Pools.Tests;

/// <summary>A pool 'tank' in a directory of its own.</summary>
internal sealed class PoolHome : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shinano-pool-");

    public PoolHome()
    {
        Pools = new VolumePools(ShinanoPaths.Under(_directory.FullName));
        Pool = (DirectoryPool)Pools.Get("tank");
    }

    public VolumePools Pools { get; }

    public DirectoryPool Pool { get; }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public string this[string name] => Path.Combine(_directory.FullName, name);

    public void Dispose() => _directory.Delete(recursive: true);

    public static VolumeName N(string name) => VolumeName.Parse(name);

    public async Task<IBlockImage> OpenAsync(string name) => await ImageFile.OpenAsync(await Pools.ResolveAsync(name, Cancellation), Cancellation);

    /// <summary>Fills a range with one byte.</summary>
    public async Task WriteAsync(string name, long offset, int count, byte value)
    {
        byte[] data = new byte[count];
        data.AsSpan().Fill(value);
        await using IBlockImage image = await OpenAsync(name);
        await image.WriteAsync(offset, data, Cancellation);
        await image.FlushAsync(Cancellation);
    }

    public async Task<byte[]> ReadAsync(string name)
    {
        await using IBlockImage image = await OpenAsync(name);
        byte[] data = new byte[image.Length];
        await image.ReadAsync(0, data, Cancellation);
        return data;
    }

    public async Task<byte> ByteAsync(string name, long offset)
    {
        await using IBlockImage image = await OpenAsync(name);
        byte[] data = new byte[512];
        await image.ReadAsync(offset, data, Cancellation);
        return data[0];
    }

    public async Task<string[]> NamesAsync() => [.. (await Pool.ListAsync(Cancellation)).Select(info => info.Name)];

    /// <summary>The check finds nothing, and there are as many files as layers.</summary>
    public async Task AssertSoundAsync() => Assert.Empty(await PoolCheck.RunAsync(Pool, null, repair: false, null, Cancellation));
}
