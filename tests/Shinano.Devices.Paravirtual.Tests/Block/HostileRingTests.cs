using Shinano.Fuzzing;

namespace Shinano.Devices.Paravirtual.Tests.Block;

/// <summary>
/// A guest that writes random bytes over ring, requests and segments while they are served. docs/fuzzing.md.
/// </summary>
public sealed class HostileRingTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_disk_survives_random_bytes(bool persistent)
    {
        await using BlockRig rig = await BlockRig.CreateAsync(persistent: persistent);
        FuzzRun run = FuzzRun.Begin(least: 30);
        while (run.Next())
        {
            // A guest that broke its ring starts anew, as after a reset: the same device, another ring.
            Scribble(rig, run.Random);
            rig.Store[$"{BlockRig.Front}/state"] = "1";
            await rig.Store.UntilAsync($"{BlockRig.Back}/state", "2", TestContext.Current.CancellationToken);
            Assert.Equal((0, 0), (rig.Guest.Mapped, rig.Guest.Ports));
            await rig.ConnectAsync(persistent);
            Assert.True(await rig.AskAsync(0, 0, (4, 0, 7)) == 0, run.Where);
        }

        Assert.Equal(BlockRig.Sectors * 512, new FileInfo(rig.Image).Length);
    }

    private static void Scribble(BlockRig rig, Random random)
    {
        uint produced = Volatile.Read(ref rig.Word(0));
        for (int i = 0; i < 200; i++)
        {
            switch (random.Next(10))
            {
                case 0:
                    random.NextBytes(rig.Guest.Page(0)[64..]);
                    break;
                case 1:
                    Volatile.Write(ref rig.Word(4 * random.Next(1, 4)), (uint)random.NextInt64());
                    break;
                case 2:
                    random.NextBytes(rig.Guest.Page((uint)random.Next(1, 8)));
                    break;
                case 3 when random.Next(40) == 0:
                    Volatile.Write(ref rig.Word(0), (uint)random.NextInt64());
                    break;
                default:
                    PlausibleRequest(rig, random, produced);
                    Volatile.Write(ref rig.Word(0), ++produced);
                    break;
            }

            rig.Guest.Send!();
        }
    }

    /// <summary>Near enough to a request to get past the first checks.</summary>
    private static void PlausibleRequest(BlockRig rig, Random random, uint index)
    {
        Span<byte> entry = rig.Guest.Page(0).Slice(64 + ((int)(index % 32) * BlockRig.EntrySize), BlockRig.EntrySize);
        random.NextBytes(entry);
        entry[0] = (byte)random.Next(8);
        entry[1] = (byte)random.Next(14);
        entry[2] = (byte)random.Next(64);
        entry[3] = (byte)random.Next(2);
        BitConverter.TryWriteBytes(entry[16..], (ulong)random.Next(BlockRig.Sectors + 16));
        for (int place = 24; place < BlockRig.EntrySize; place += 8)
        {
            BitConverter.TryWriteBytes(entry[place..], random.Next(1, 70));
            entry[place + 4] = (byte)random.Next(4);
            entry[place + 5] = (byte)random.Next(9);
        }
    }
}
