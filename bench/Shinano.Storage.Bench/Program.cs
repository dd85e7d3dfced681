using System.Diagnostics;
using System.Globalization;
using Shinano.Linux;
using Shinano.Storage;
using Shinano.Storage.Pools;
using Shinano.Storage.Qcow2;

// Times of snapshot and clone, and throughput of images beside that of `qemu-img bench` on files of the same kind.
// Usage: dotnet run -c Release --project bench/Shinano.Storage.Bench [DIRECTORY] [--clones]
const long Mib = 1 << 20;
const long Disk = 512 * Mib;
string directory = Directory.CreateTempSubdirectory("shinano-storage-bench-").FullName;
if (args.FirstOrDefault(arg => arg != "--clones") is { } place)
{
    directory = Directory.CreateDirectory(Path.Combine(place, Path.GetFileName(directory))).FullName;
}

try
{
    await MeasureClonesAsync();
    if (!args.Contains("--clones"))
    {
        await MeasureThroughputAsync();
    }
}
finally
{
    Directory.Delete(directory, recursive: true);
}

async Task MeasureClonesAsync()
{
    VolumePools pools = new(ShinanoPaths.Under(Path.Combine(directory, "home")));
    IVolumePool pool = pools.Get("tank");
    foreach ((string name, long size) in ((string, long)[])[("1g", 1L << 30), ("1t", 1L << 40)])
    {
        await pool.CreateAsync(VolumeName.Parse($"tank/{name}"), size);
        await using (IBlockImage image = await ImageFile.OpenAsync(await pools.ResolveAsync($"tank/{name}")))
        {
            for (int i = 0; i < 256; i++)
            {
                await image.WriteAsync(size / 256 * i, new byte[65536]);
            }
        }

        await RowAsync($"snapshot, {name}", 60, i => pool.SnapshotAsync(VolumeName.Parse($"tank/{name}@{i}")));
        await RowAsync($"clone, {name}", 60, i => pool.CloneAsync(VolumeName.Parse($"tank/{name}@0"), VolumeName.Parse($"tank/{name}-{i}")));
    }
}

async Task RowAsync(string name, int runs, Func<int, Task> act)
{
    List<double> times = [];
    for (int i = 0; i < runs; i++)
    {
        long start = Stopwatch.GetTimestamp();
        await act(i);
        times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }

    times.Sort();
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-44}{times[runs / 2],9:F1} ms   ({times[0]:F1} to {times[^1]:F1}, {runs} runs)"));
}

async Task MeasureThroughputAsync()
{
    bool qemu = File.Exists("/usr/bin/qemu-img");
    Console.WriteLine($"{"qcow2, MiB/s",-44}{"ours",9}{"QEMU",9}");
    foreach ((string name, bool write, int block, int depth, bool filled) in ((string, bool, int, int, bool)[])[
        ("write 1 MiB sequential, new clusters", true, 1 << 20, 8, false),
        ("write 1 MiB sequential, in place", true, 1 << 20, 8, true),
        ("read 1 MiB sequential", false, 1 << 20, 8, true),
        ("write 4 KiB strided, in place, depth 32", true, 4096, 32, true),
        ("read 4 KiB strided, depth 32", false, 4096, 32, true),
        ("read 4 KiB strided, depth 1", false, 4096, 1, true)])
    {
        int step = block == 4096 ? 68 * 1024 : block;
        int count = (int)(block == 4096 ? 40_000 : Disk / block);
        double ours = await Median(async path => await OursAsync(path, write, block, depth, step, count), filled);
        double theirs = qemu ? await Median(path => QemuAsync(path, write, block, depth, step, count), filled) : double.NaN;
        double size = (double)block * count / Mib;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-44}{size / ours,9:F0}{size / theirs,9:F0}"));
    }
}

async Task<double> Median(Func<string, Task<double>> run, bool filled)
{
    List<double> times = [];
    for (int i = 0; i < 3; i++)
    {
        string path = Path.Combine(directory, "bench.qcow2");
        File.Delete(path);
        Qcow2Format.Create(path, Disk);
        if (filled)
        {
            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2));
            byte[] data = new byte[Mib];
            new Random(1).NextBytes(data);
            for (long at = 0; at < Disk; at += Mib)
            {
                await image.WriteAsync(at, data);
            }

            await image.FlushAsync();
        }

        times.Add(await run(path));
    }

    times.Sort();
    return times[1];
}

async Task<double> OursAsync(string path, bool write, int block, int depth, int step, int count)
{
    await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2));
    long start = Stopwatch.GetTimestamp();
    int next = -1;
    await Task.WhenAll(Enumerable.Range(0, depth).Select(_ => Task.Run(async () =>
    {
        byte[] data = new byte[block];
        for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
        {
            long offset = (long)i * step % Disk;
            if (write)
            {
                await image.WriteAsync(offset, data);
            }
            else
            {
                await image.ReadAsync(offset, data);
            }
        }
    })));
    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    await image.FlushAsync();
    return seconds;
}

// Through the page cache as ours (-t writeback), without a flush in the time, which is the one that it says itself.
async Task<double> QemuAsync(string path, bool write, int block, int depth, int step, int count)
{
    ProcessStartInfo start = new("/usr/bin/qemu-img", [
        "bench", .. write ? (string[])["-w"] : [], "-f", "qcow2", "-t", "writeback", "-c", $"{count}", "-d", $"{depth}", "-s", $"{block}", "-S", $"{step}", path])
    {
        RedirectStandardOutput = true,
    };
    using Process process = Process.Start(start)!;
    string output = await process.StandardOutput.ReadToEndAsync();
    await process.WaitForExitAsync();
    string seconds = output.Split("completed in ", 2)[^1].Split(' ')[0];
    return double.Parse(seconds, CultureInfo.InvariantCulture);
}
