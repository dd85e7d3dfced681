using System.Globalization;
using Shinano.Storage.Qcow2;
using Shinano.Storage.Writing;

namespace Shinano.Storage.Tests;

/// <summary>A process that writes is killed at random moments: what a flush acknowledged is there, and the image has leaks at worst.</summary>
/// <remarks>SHINANO_STORAGE_KILLS widens the run.</remarks>
public sealed class KillTests
{
    private const int Length = 48 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string> Kinds => ["raw", "qcow2", "qcow2 over raw", "qcow2 chain", "qcow2, 512-byte clusters"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_a_flush_acknowledged_is_there_after_a_kill(string name)
    {
        int seed = Random.Shared.Next(1 << 20);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        int kills = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STORAGE_KILLS"), out int asked) ? asked : 5;
        Random random = new(seed);
        using TemporaryDirectory directory = new();
        ImageKind kind = ImageKind.All.Single(kind => kind.Name == name);
        byte[] content = new byte[Length];
        content.AsSpan(0, 8 << 20).Fill(0xee);
        string path = await kind.CreateAsync(directory.Root, content);
        for (int kill = 0; kill < kills; kill++)
        {
            List<string> said = await WriterProcess.RunUntilKilledAsync(
                random.Next(1, 200), kind.Format.ToString(), path, (seed + (kill * 10)).ToString(CultureInfo.InvariantCulture));
            if (kind.Format == ImageFormat.Qcow2)
            {
                await QemuImg.CheckAsync(path, leaksAllowed: true);
                ImageCheckReport found = await Qcow2Check.RunAsync(path, repair: true, Cancellation);
                Assert.False(found.IsCorrupt, found.ToString());
                Assert.True((await Qcow2Check.RunAsync(path, repair: false, Cancellation)).IsClean);
                await QemuImg.CheckAsync(path);
            }

            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, kind.Format) { ReadOnly = true }, Cancellation);
            byte[] data = new byte[WriterSlots.Size];
            foreach (((int worker, int slot), uint version) in WriterProcess.Acknowledged(said))
            {
                await image.ReadAsync(WriterSlots.Offset(image.Length, worker, slot), data, Cancellation);
                Assert.Null(WriterSlots.FindFault(data, worker, slot, version));
            }
        }
    }
}
