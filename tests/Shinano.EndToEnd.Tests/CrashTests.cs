using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Shinano.EndToEnd.Tests;

/// <summary>
/// Ends the domain process with SIGKILL at random moments while the guest writes to ext4 on qcow2: the image and the file system are in order, and what a fsync
/// acknowledged is there.
/// </summary>
/// <remarks>One round in every run; SHINANO_CRASH_ROUNDS=20 makes more on the same image. SHINANO_CRASH_SEED repeats the moments, as far as the host does.</remarks>
public sealed class CrashTests(DiskGuestFiles files) : IClassFixture<DiskGuestFiles>
{
    private const long DiskSize = 512 << 20;
    private const int RecordSize = 4096;

    /// <summary>Records; a sequence number has one of its own.</summary>
    private const int MostRecords = 16_384;

    /// <summary>Each such record has a file as well, so that directories and inodes change.</summary>
    private const int FileEach = 4;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_synced_to_a_file_system_on_qcow2_outlives_the_domain_process()
    {
        foreach (string tool in (string[])["/usr/sbin/mkfs.ext4", "/usr/sbin/e2fsck", "/usr/sbin/debugfs", "/usr/bin/qemu-img"])
        {
            Assert.SkipUnless(File.Exists(tool), $"{tool} is not installed (e2fsprogs, qemu-utils)");
        }

        int rounds = Number("SHINANO_CRASH_ROUNDS") ?? 1;
        int seed = Number("SHINANO_CRASH_SEED") ?? Random.Shared.Next();
        Random random = new(seed);
        await using Host host = Host.Create();
        string image = Path.Combine(host.Home, "crash.qcow2");
        await MakeDiskAsync(host, image);
        int next = 0;
        for (int round = 1; round <= rounds; round++)
        {
            int last = await RunAsync(host, image, round, next, random.Next(10, 120));
            string leaks = await CheckAsync(host, image, last);
            TestContext.Current.TestOutputHelper?.WriteLine($"round {round} of seed {seed}: {last - next + 1} acknowledged, {last + 1} in all are there{leaks}");
            next = last + 1;
            Assert.InRange(next, 0, MostRecords / 2);
        }
    }

    /// <summary>Lets a guest write, and ends its process once a number of records is acknowledged.</summary>
    /// <returns>The last record that was acknowledged.</returns>
    private async Task<int> RunAsync(Host host, string image, int round, int first, int count)
    {
        string name = $"crash{round}";
        string path = host.Configuration(name, $"memory = 192\nvcpus = 1\n{files.Boot}\ndisk = [ 'format=qcow2,vdev=xvda,access=rw,target={image}' ]");
        using Process xm = host.Start("xm", ["create", "-c", path]);
        await xm.StandardInput.WriteAsync(Script(first).AsMemory(), Cancellation);
        await xm.StandardInput.FlushAsync(Cancellation);
        Task<string> error = xm.StandardError.ReadToEndAsync(Cancellation);
        StringBuilder said = new();
        int last = first - 1;
        while (last < first + count)
        {
            string line = await xm.StandardOutput.ReadLineAsync(Cancellation) ?? throw new EndOfStreamException($"the console ended: {said}{await error}");
            said.AppendLine(line);
            last = Acknowledged(line) ?? last;
        }

        using (Process machine = Process.GetProcessById(DomainProcesses.OfDomain(host)))
        {
            machine.Kill();
            await machine.WaitForExitAsync(Cancellation);
        }

        // What was on its way to the console counts as well.
        foreach (string line in (await xm.StandardOutput.ReadToEndAsync(Cancellation)).Split('\n'))
        {
            last = Acknowledged(line) ?? last;
        }

        await xm.WaitForExitAsync(Cancellation);
        return last;
    }

    /// <summary>Two writers of changing files beside the one that says what is durable; deleted files become discards.</summary>
    private static string Script(int first) =>
        $$"""
        mkdir -p /mnt; mount -t ext4 -o discard /dev/xvda /mnt || echo mount failed; mkdir -p /mnt/kept
        for k in 1 2; do (while true; do dd if=/dev/urandom of=/mnt/load$k bs=64k count=$((k * 40)) conv=fsync 2>/dev/null; cp /mnt/load$k /mnt/copy$k; rm /mnt/load$k; done) & done
        i={{first}}; while true; do printf '%-{{RecordSize}}s' $i | dd of=/mnt/records bs={{RecordSize}} seek=$i conv=notrunc,fsync 2>/dev/null && { [ $((i % {{FileEach}})) != 0 ] || echo $i | dd of=/mnt/kept/$i conv=fsync 2>/dev/null; } && echo acknowledged=$i=; i=$((i+1)); done

        """;

    private static int? Acknowledged(string line)
    {
        // A line that the end cut short has no second mark.
        string[] parts = line.Split('=');
        return parts.Length >= 3 && parts[^3].EndsWith("acknowledged", StringComparison.Ordinal)
            && int.TryParse(parts[^2], NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }

    /// <returns>A remark about leaks.</returns>
    private static async Task<string> CheckAsync(Host host, string image, int last)
    {
        // qemu-img(1), check: 0 no errors, 3 leaked clusters and nothing worse.
        (int status, string output) = await ToolAsync("/usr/bin/qemu-img", "check", "-f", "qcow2", image);
        Assert.True(status is 0 or 3, output);
        string raw = Path.Combine(host.Home, "crash.raw");
        (int converted, string complaint) = await ToolAsync("/usr/bin/qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw);
        Assert.True(converted == 0, complaint);

        // e2fsck(8): 1 is errors corrected, here the replay of the journal.
        (int replayed, string replay) = await ToolAsync("/usr/sbin/e2fsck", "-p", raw);
        Assert.True(replayed is 0 or 1, replay);
        (int checkedStatus, string found) = await ToolAsync("/usr/sbin/e2fsck", "-f", "-n", raw);
        Assert.True(checkedStatus == 0, found);

        string records = Path.Combine(host.Home, "records");
        await ToolAsync("/usr/sbin/debugfs", "-R", $"dump /records {records}", raw);
        byte[] content = await File.ReadAllBytesAsync(records, Cancellation);
        string kept = Directory.CreateDirectory(Path.Combine(host.Home, "files")).FullName;
        await ToolAsync("/usr/sbin/debugfs", "-R", $"rdump /kept {kept}", raw);
        for (int i = 0; i <= last; i++)
        {
            Assert.Equal($"{i}", Encoding.ASCII.GetString(content.AsSpan(i * RecordSize, RecordSize)).TrimEnd());
            if (i % FileEach == 0)
            {
                Assert.Equal($"{i}\n", await File.ReadAllTextAsync(Path.Combine(kept, "kept", $"{i}"), Cancellation));
            }
        }

        Directory.Delete(kept, recursive: true);
        File.Delete(records);
        File.Delete(raw);
        return status == 3 ? "; " + output.Split('\n').First(line => line.Contains("leak", StringComparison.OrdinalIgnoreCase)) : "";
    }

    private static async Task MakeDiskAsync(Host host, string image)
    {
        string raw = Path.Combine(host.Home, "empty.raw");
        await using (FileStream file = File.Create(raw))
        {
            file.SetLength(DiskSize);
        }

        (int made, string said) = await ToolAsync("/usr/sbin/mkfs.ext4", "-q", raw);
        Assert.True(made == 0, said);
        (int converted, string complaint) = await ToolAsync("/usr/bin/qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image);
        Assert.True(converted == 0, complaint);
        File.Delete(raw);
    }

    private static async Task<(int Status, string Output)> ToolAsync(string tool, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync(Cancellation);
        string output = await process.StandardOutput.ReadToEndAsync(Cancellation);
        await process.WaitForExitAsync(Cancellation);
        return (process.ExitCode, $"{Path.GetFileName(tool)} ended with {process.ExitCode}: {output}{await error}");
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
