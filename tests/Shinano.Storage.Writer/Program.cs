using System.Buffers.Binary;
using System.Globalization;
using Shinano.Storage;
using Shinano.Storage.Writer;

// Writes into an image until it is killed: a program for tests. Arguments: format, path, seed. Four workers own a quarter of the disk each, and
// of that, slots of 32 KiB that lie across cluster boundaries. A slot's content follows from its number and a version. After each flush a worker prints
// "worker slot version" for each slot that it wrote before the flush; version 0 is a discarded slot.
//
// Or: pool, a directory as SHINANO_HOME, seed: changes a pool at random and says what is done.
if (args[0] == "pool")
{
    await PoolChanges.RunAsync(args[1], int.Parse(args[2], CultureInfo.InvariantCulture));
    return;
}

const int Slot = 32 << 10;
ImageReference reference = new(args[1], Enum.Parse<ImageFormat>(args[0]));
int seed = int.Parse(args[2], CultureInfo.InvariantCulture);
await using IBlockImage image = await ImageFile.OpenAsync(reference);
int slots = (int)(image.Length / Slot / 4) - 1;
Console.WriteLine("ready");
await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() => WorkAsync(worker))));

async Task WorkAsync(int worker)
{
    Random random = new(seed + worker);
    byte[] data = new byte[Slot];
    for (uint version = 1; ; version++)
    {
        Dictionary<int, uint> written = [];
        for (int i = random.Next(1, 12); i > 0; i--)
        {
            int slot = random.Next(slots);
            long offset = (((long)worker * (slots + 1)) + slot) * Slot + 4096;
            int kind = random.Next(8);
            if (kind == 0)
            {
                await image.WriteZeroesAsync(offset, Slot, mayUnmap: random.Next(2) == 0);
                written[slot] = 0;
                continue;
            }

            for (int at = 0; at < Slot; at += 8)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(at), version);
                BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(at + 4), (uint)(worker << 20 | slot));
            }

            // In two pieces, so that clusters are filled in steps.
            int cut = random.Next(1, Slot / 512) * 512;
            await image.WriteAsync(offset, data.AsMemory(0, cut));
            await image.WriteAsync(offset + cut, data.AsMemory(cut));
            written[slot] = version;
        }

        await image.FlushAsync();
        string said = string.Concat(written.Select(pair => $"{worker} {pair.Key} {pair.Value}\n"));
        lock (reference)
        {
            Console.Out.Write(said);
            Console.Out.Flush();
        }
    }
}
