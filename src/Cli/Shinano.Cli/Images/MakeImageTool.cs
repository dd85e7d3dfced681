using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Shinano.Cli.Xm;
using Shinano.Cli.Xm.Verbs;
using Shinano.Cli.Xvol;
using Shinano.Control.GuestPackages.Images;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Images;

/// <summary>virt-make-image: makes a root volume of Debian in a file or in a volume of a pool.</summary>
internal static class MakeImageTool
{
    private const string VolumePrefix = "vol:";

    public static Task<int> RunAsync(string[] arguments, XmEnvironment environment) =>
        ToolRunner.RunAsync(Build(environment), arguments.Length == 0 ? ["--help"] : arguments, environment);

    private static Command Build(XmEnvironment environment)
    {
        Argument<string> file = new("file") { Description = "The file to make, or a volume of a pool as vol:tank/debian; must not exist" };
        Option<string> size = new("--size", "-s") { Description = "Its size, as 4G or 2048 (MiB)", DefaultValueFactory = _ => "4G" };
        Option<string> format = new("--format", "-f") { Description = "raw or qcow2, of a file", DefaultValueFactory = _ => "raw" };
        format.AcceptOnlyFromAmong("raw", "qcow2");
        Option<string> suite = new("--suite") { Description = "Debian's release", DefaultValueFactory = _ => "bookworm" };
        Option<string?> mirror = new("--mirror") { Description = "Debian's archive" };
        Option<string[]> packages = new("--package", "-p") { Description = "A package more; may be given several times", AllowMultipleArgumentsPerToken = true };
        Option<string?> host = new("--hostname") { Description = "Its name; by default that of the domain which it runs in" };
        Option<string?> password = new("--root-password")
        {
            Description = "Root's password, as password:TEXT or file:FILE, on the console and over ssh; by default empty, which is good for the console only",
            HelpName = "selector",
        };
        Option<string[]> keys = new("--ssh-key") { Description = "A file with public keys that may log in as root; may be given several times", HelpName = "file" };
        Command root = ToolRunner.Root("virt-make-image", "Makes a root volume with a bootable Debian: systemd, ssh, a kernel, a menu for PV GRUB. Needs no root.");
        foreach (Symbol symbol in (Symbol[])[file, size, format, suite, mirror, packages, host, password, keys])
        {
            if (symbol is Argument argument)
            {
                root.Add(argument);
            }
            else
            {
                root.Add((Option)symbol);
            }
        }

        root.SetAction(async (result, cancellationToken) =>
        {
            ImageRecipe recipe = new()
            {
                Mebibytes = (int)Math.Min(ResourceVerbs.ParseMemory(result.GetRequiredValue(size)) >> 20, int.MaxValue),
                Suite = result.GetRequiredValue(suite),
                Mirror = result.GetValue(mirror),
                Packages = result.GetValue(packages) ?? [],
                HostName = result.GetValue(host),
                RootPassword = result.GetValue(password) is { } selector ? await ReadPasswordAsync(selector, cancellationToken) : null,
                SshKeys = await ReadKeysAsync(result.GetValue(keys) ?? [], cancellationToken),
            };
            string named = result.GetRequiredValue(file);
            bool isVolume = named.StartsWith(VolumePrefix, StringComparison.Ordinal);
            string target = isVolume ? named : Path.GetFullPath(named);
            Stopwatch clock = Stopwatch.StartNew();
            if (isVolume)
            {
                await MakeVolumeAsync(environment, recipe, VolumeName.ParseVolume(named[VolumePrefix.Length..], "make"), cancellationToken);
            }
            else
            {
                using CreationProgress line = new(environment, verbose: false);
                await MakeAsync(environment, recipe, target, result.GetValue(format) == "qcow2", new Display(environment, line), cancellationToken);
            }

            environment.WriteLine($"Made {target} in {clock.Elapsed.TotalSeconds:F1} s");
            return ExitCodes.Success;
        });
        return root;
    }

    /// <summary>virt-builder(1), USERS AND PASSWORDS: the selectors that make sense here; a text without one is the password.</summary>
    private static async Task<string> ReadPasswordAsync(string selector, CancellationToken cancellationToken)
    {
        string text = selector.StartsWith("file:", StringComparison.Ordinal)
            ? (await File.ReadAllTextAsync(selector["file:".Length..], cancellationToken)).TrimEnd('\n', '\r')
            : selector.StartsWith("password:", StringComparison.Ordinal) ? selector["password:".Length..]
            : selector;
        return text.Length > 0 ? text : throw new InvalidOperationException($"--root-password {selector}: the password is empty; leave the option out for that");
    }

    private static async Task<IReadOnlyList<string>> ReadKeysAsync(string[] files, CancellationToken cancellationToken)
    {
        List<string> keys = [];
        foreach (string path in files)
        {
            int before = keys.Count;
            keys.AddRange((await File.ReadAllLinesAsync(path, cancellationToken)).Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#'));
            if (keys.Count == before)
            {
                throw new InvalidOperationException($"{path}: there is no key in it");
            }
        }

        return keys;
    }

    private static async Task MakeVolumeAsync(XmEnvironment environment, ImageRecipe recipe, VolumeName name, CancellationToken cancellationToken)
    {
        DirectoryPool pool = new VolumePools(environment.Paths).GetDirectoryPool(name, "make");
        if ((await pool.ListAsync(cancellationToken)).Any(info => info.Name == name.ToString()))
        {
            throw new VolumeException($"cannot make '{name}': it exists already");
        }

        string images = Path.Combine(environment.Paths.CacheDirectory, "images");
        Directory.CreateDirectory(images);
        string raw = Path.Combine(images, $".tmp-{Guid.NewGuid():N}.raw");
        try
        {
            using (CreationProgress line = new(environment, verbose: false))
            {
                await new ImageMaker(environment.Paths.CacheDirectory).MakeAsync(recipe, raw, new Display(environment, line), cancellationToken);
            }

            using TransferDisplay display = new(environment, $"importing {name}");
            await VolumeReceiver.ImportAsync(pool, name, new ImageReference(raw, ImageFormat.Raw), display, cancellationToken);
        }
        finally
        {
            File.Delete(raw);
        }
    }

    private static async Task MakeAsync(
        XmEnvironment environment, ImageRecipe recipe, string target, bool qcow2, IProgress<ImageProgress> progress, CancellationToken cancellationToken)
    {
        ImageMaker maker = new(environment.Paths.CacheDirectory);
        if (!qcow2)
        {
            await maker.MakeAsync(recipe, target, progress, cancellationToken);
            return;
        }

        if (File.Exists(target))
        {
            throw new IOException($"{target} exists already");
        }

        string raw = $"{target}.{Guid.NewGuid():N}.raw";
        try
        {
            await maker.MakeAsync(recipe, raw, progress, cancellationToken);
            progress.Report(new ImageProgress("converting", target, -1));
            using Process convert = Process.Start(new ProcessStartInfo("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, target]))
                ?? throw new InvalidOperationException("qemu-img was not started");
            await convert.WaitForExitAsync(cancellationToken);
            if (convert.ExitCode != 0)
            {
                throw new InvalidOperationException($"qemu-img ended with {convert.ExitCode}");
            }
        }
        finally
        {
            File.Delete(raw);
        }
    }

    /// <summary>A moving line for a person, a line per step for a log.</summary>
    private sealed class Display(XmEnvironment environment, CreationProgress line) : IProgress<ImageProgress>
    {
        private (string Step, string Detail) _last;

        public void Report(ImageProgress value)
        {
            if (environment.IsInteractive)
            {
                string percent = value.Percent >= 0 ? string.Create(CultureInfo.InvariantCulture, $" {value.Percent:F0} %") : "";
                line.Show($"{value.Step}: {value.Detail}{percent}");
            }
            else if (_last != (value.Step, value.Detail))
            {
                environment.Error.WriteLine($"{value.Step}: {value.Detail}");
            }

            _last = (value.Step, value.Detail);
        }
    }
}
