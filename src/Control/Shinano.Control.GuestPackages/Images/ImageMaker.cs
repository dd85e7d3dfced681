using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;

namespace Shinano.Control.GuestPackages.Images;

/// <summary>
/// Makes root volumes of Debian, without root: mmdebstrap installs into a tar file, which the cache keeps; in mmdebstrap's user namespace mke2fs makes a file system
/// of it without mounting one.
/// </summary>
/// <param name="cacheDirectory">Keeps trees: CACHE/images/KEY.tar.</param>
public sealed class ImageMaker(string cacheDirectory)
{
    private const string ResourcePrefix = "images/";
    private const int MostComplaint = 2000;

    private readonly string _cache = Path.Combine(Path.GetFullPath(cacheDirectory), "images");

    /// <summary>Says which program is missing on this host; null when all are there.</summary>
    public static string? FindMissing()
    {
        string? program = new[] { "mmdebstrap", "mke2fs", "tar" }.FirstOrDefault(name => !IsInPath(name));
        return program is null ? null : $"{program} is not installed: apt-get install mmdebstrap e2fsprogs uidmap";
    }

    /// <summary>Makes a volume as a raw disk with one partition. The file appears whole, by a rename.</summary>
    /// <param name="recipe">What it is to hold.</param>
    /// <param name="path">The file; must not exist.</param>
    /// <exception cref="InvalidOperationException">Something is missing, or a program failed; the message says what it said.</exception>
    public async Task MakeAsync(ImageRecipe recipe, string path, IProgress<ImageProgress>? progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        if ((recipe.FindFault() ?? FindMissing()) is { } fault)
        {
            throw new InvalidOperationException(fault);
        }

        if (File.Exists(path))
        {
            throw new IOException($"{path} exists already");
        }

        string tree = await GetTreeAsync(recipe, progress, cancellation).ConfigureAwait(false);
        string aside = $"{path}.{Guid.NewGuid():N}";
        try
        {
            FileStream disk = new(aside, FileMode.CreateNew, FileAccess.Write);
            await using (disk.ConfigureAwait(false))
            {
                await PackAsync(recipe, tree, disk, progress, cancellation).ConfigureAwait(false);
                disk.Flush(flushToDisk: true);
            }

            File.Move(aside, path);
        }
        finally
        {
            File.Delete(aside);
        }
    }

    /// <summary>The recipe's tree, from the cache or made now; processes that want the same one wait for each other.</summary>
    private async Task<string> GetTreeAsync(ImageRecipe recipe, IProgress<ImageProgress>? progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(_cache);
        string key = recipe.Key([Script("prepare"), Script("finish")]);
        string tree = Path.Combine(_cache, $"{key}.tar");
        if (File.Exists(tree))
        {
            return tree;
        }

        using CacheLock held = await CacheLock.TakeAsync(
            Path.Combine(_cache, ".lock"), () => progress?.Report(new ImageProgress("waiting", "another image is being made", -1)), cancellation).ConfigureAwait(false);
        if (File.Exists(tree))
        {
            return tree;
        }

        string work = Directory.CreateTempSubdirectory("shinano-image").FullName;
        string aside = Path.Combine(_cache, $".tmp-{key}.tar");
        try
        {
            ProcessStartInfo start = new("mmdebstrap");
            foreach (string argument in (string[])
            [
                "--variant=minbase", $"--include={string.Join(',', recipe.AllPackages)}", $"--essential-hook={Save(work, "prepare")}",
                $"--customize-hook={Save(work, "finish")}", "--format=tar", recipe.Suite, aside, .. recipe.Mirror is { } mirror ? (string[])[mirror] : [],
            ])
            {
                start.ArgumentList.Add(argument);
            }

            await RunAsync(start, null, null, line => Follow(line, progress), cancellation).ConfigureAwait(false);
            File.Move(aside, tree, overwrite: true);
            return tree;
        }
        finally
        {
            File.Delete(aside);
            Directory.Delete(work, recursive: true);
        }
    }

    private static async Task PackAsync(ImageRecipe recipe, string tree, FileStream disk, IProgress<ImageProgress>? progress, CancellationToken cancellation)
    {
        ProcessStartInfo start = new("mmdebstrap", ["--unshare-helper", "sh", "-c", Script("pack"), "pack", $"{recipe.Mebibytes - (PartitionedDisk.Start >> 20)}", Script("personalize")]);
        start.Environment["IMAGE_HOSTNAME"] = recipe.HostName ?? "";
        start.Environment["IMAGE_ROOT_PASSWORD"] = recipe.RootPassword ?? "";
        start.Environment["IMAGE_SSH_KEYS"] = string.Join('\n', recipe.SshKeys);
        start.Environment["IMAGE_KERNEL_OPTIONS"] = recipe.KernelOptions;
        progress?.Report(new ImageProgress("packing", "making the file system", -1));
        double total = (double)recipe.Mebibytes * (1 << 20);
        await RunAsync(
            start,
            tree,
            output => PartitionedDisk.WriteAsync(
                disk, recipe.Mebibytes, output, done => progress?.Report(new ImageProgress("writing", disk.Name, 100 * done / total)), cancellation),
            static _ => { },
            cancellation).ConfigureAwait(false);
    }

    /// <summary>mmdebstrap's lines are "I: what it does..."; apt's and dpkg's progress comes in between.</summary>
    private static void Follow(string line, IProgress<ImageProgress>? progress)
    {
        if (line.StartsWith("I: ", StringComparison.Ordinal))
        {
            progress?.Report(new ImageProgress("installing", line[3..].TrimEnd('.'), -1));
        }
    }

    private static async Task RunAsync(
        ProcessStartInfo start, string? input, Func<Stream, Task>? output, Action<string> onLine, CancellationToken cancellation)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.Environment["LC_ALL"] = "C.UTF-8";

        // mke2fs lies where a user's PATH does not lead.
        start.Environment["PATH"] = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        start.WorkingDirectory = "/";
        start.Environment["DEBIAN_FRONTEND"] = "noninteractive";
        using Process process = Start(start);
        try
        {
            Queue<string> said = new();
            Task errors = ReadLinesAsync(process.StandardError, line => Keep(said, line, onLine), cancellation);
            Task feeding = FeedAsync(process, input, cancellation);
            InvalidDataException? broken = null;
            try
            {
                await (output ?? DrainAsync)(process.StandardOutput.BaseStream).ConfigureAwait(false);
            }
            catch (InvalidDataException e)
            {
                // What the program says of it is the better reason.
                broken = e;
                process.StandardOutput.Dispose();
            }

            await errors.ConfigureAwait(false);
            await feeding.ConfigureAwait(false);
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            if (process.ExitCode != 0)
            {
                string text = string.Join('\n', said);
                throw new InvalidOperationException($"{start.FileName} ended with {process.ExitCode}:\n{text[Math.Max(0, text.Length - MostComplaint)..]}");
            }

            if (broken is not null)
            {
                throw new InvalidOperationException(broken.Message, broken);
            }
        }
        catch
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} was not started");
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException($"{start.FileName} cannot be run: {e.Message}", e);
        }
    }

    private static void Keep(Queue<string> said, string line, Action<string> onLine)
    {
        if (said.Count == 20)
        {
            said.Dequeue();
        }

        said.Enqueue(line);
        onLine(line);
    }

    private static async Task FeedAsync(Process process, string? input, CancellationToken cancellation)
    {
        try
        {
            if (input is not null)
            {
                FileStream file = File.OpenRead(input);
                await using (file.ConfigureAwait(false))
                {
                    await file.CopyToAsync(process.StandardInput.BaseStream, cancellation).ConfigureAwait(false);
                }
            }

            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended before it had read all; its exit code tells.
        }
    }

    private static Task DrainAsync(Stream output) => output.CopyToAsync(Stream.Null);

    private static async Task ReadLinesAsync(StreamReader reader, Action<string> onLine, CancellationToken cancellation)
    {
        while (await reader.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
        {
            onLine(line);
        }
    }

    private static string Save(string directory, string name)
    {
        string path = Path.Combine(directory, name);
        File.WriteAllText(path, Script(name));

        // Another user, as mmdebstrap's namespace has it, runs it.
        const UnixFileMode everyone = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead | everyone);
        File.SetUnixFileMode(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | everyone);
        return path;
    }

    private static string Script(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(ResourcePrefix + name)!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }

    private static bool IsInPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/sbin").Any(directory => File.Exists(Path.Combine(directory, program)));
}
