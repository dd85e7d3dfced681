using System.Globalization;
using Shinano.Linux;
using Shinano.Storage;
using Shinano.Storage.Pools;
using Shinano.Storage.Writer;
using Shinano.Storage.Writing;

// Writes until it is killed: a program for tests. After each flush a worker prints "worker slot version" for each slot (WriterSlots) that it wrote before the flush;
// version 0 is an erased slot.
//
//   FORMAT, path, seed: an image;
//   flatten, a directory as SHINANO_HOME, seed: the volume tank/v, which is flattened meanwhile, and "flattened" is said then;
//   pool, such a directory, seed: changes the pool at random and says what is done.
int seed = int.Parse(args[2], CultureInfo.InvariantCulture);
Lock output = new();
switch (args[0])
{
    case "pool":
        await PoolChanges.RunAsync(args[1], seed);
        break;
    case "flatten":
        VolumePools pools = new(ShinanoPaths.Under(args[1]));
        await using (IBlockImage head = await pools.OpenAsync("tank/v", readOnly: false))
        {
            await Task.WhenAll(WriteAsync(head), Task.Run(() => FlattenAsync(pools, head)));
        }

        break;
    default:
        await using (IBlockImage image = await ImageFile.OpenAsync(new ImageReference(args[1], Enum.Parse<ImageFormat>(args[0]))))
        {
            await WriteAsync(image);
        }

        break;
}

async Task FlattenAsync(VolumePools pools, IBlockImage head)
{
    VolumeName name = VolumeName.Parse("tank/v");
    await pools.GetDirectoryPool(name, "flatten").FlattenInUseAsync(name, head, kept: 0, pace: _ => ValueTask.CompletedTask, progress: null, CancellationToken.None);
    Say("flattened\n");
}

Task WriteAsync(IBlockImage image)
{
    Say("ready\n");
    return Task.WhenAll(Enumerable.Range(0, WriterSlots.Workers).Select(worker => Task.Run(() => WorkAsync(image, worker))));
}

async Task WorkAsync(IBlockImage image, int worker)
{
    Random random = new(seed + worker);
    byte[] data = new byte[WriterSlots.Size];
    for (uint version = 1; ; version++)
    {
        Dictionary<int, uint> written = [];
        for (int i = random.Next(1, 12); i > 0; i--)
        {
            int slot = random.Next(WriterSlots.Count(image.Length));
            long offset = WriterSlots.Offset(image.Length, worker, slot);
            if (random.Next(8) == 0)
            {
                await image.WriteZeroesAsync(offset, data.Length, mayUnmap: random.Next(2) == 0);
                written[slot] = 0;
                continue;
            }

            // In two pieces, so that clusters are filled in steps.
            WriterSlots.Fill(data, worker, slot, version);
            int cut = random.Next(1, data.Length / 512) * 512;
            await image.WriteAsync(offset, data.AsMemory(0, cut));
            await image.WriteAsync(offset + cut, data.AsMemory(cut));
            written[slot] = version;
        }

        await image.FlushAsync();
        Say(string.Concat(written.Select(pair => $"{worker} {pair.Key} {pair.Value}\n")));
    }
}

void Say(string text)
{
    lock (output)
    {
        Console.Out.Write(text);
        Console.Out.Flush();
    }
}
