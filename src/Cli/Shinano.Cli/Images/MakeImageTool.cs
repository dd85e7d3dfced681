using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Shinano.Cli.Xm;
using Shinano.Cli.Xm.Verbs;
using Shinano.Control.GuestPackages.Images;

namespace Shinano.Cli.Images;

/// <summary>virt-make-image: makes a root volume of Debian in a file.</summary>
internal static class MakeImageTool
{
    public static Task<int> RunAsync(string[] arguments, XmEnvironment environment) =>
        ToolRunner.RunAsync(Build(environment), arguments.Length == 0 ? ["--help"] : arguments, environment);

    private static Command Build(XmEnvironment environment)
    {
        Argument<string> file = new("file") { Description = "The volume to make; must not exist" };
        Option<string> size = new("--size", "-s") { Description = "Size, as 4G or 2048 (MiB)", DefaultValueFactory = _ => "4G" };
        Option<string> format = new("--format", "-f") { Description = "raw or qcow2", DefaultValueFactory = _ => "raw" };
        format.AcceptOnlyFromAmong("raw", "qcow2");
        Option<string> suite = new("--suite") { Description = "Debian's release", DefaultValueFactory = _ => "bookworm" };
        Option<string?> mirror = new("--mirror") { Description = "Debian's archive" };
        Option<string[]> packages = new("--package", "-p") { Description = "A package more; may be given several times", AllowMultipleArgumentsPerToken = true };
        Option<string> host = new("--hostname") { DefaultValueFactory = _ => "debian" };
        Option<string?> password = new("--root-password") { Description = "Root's password; empty by default, which is good for the console only" };
        Option<string?> key = new("--ssh-key") { Description = "A public key file, for root" };
        Command root = ToolRunner.Root("virt-make-image", "Makes a root volume with a bootable Debian: systemd, ssh, a kernel, a menu for PV GRUB. Needs no root.");
        foreach (Symbol symbol in (Symbol[])[file, size, format, suite, mirror, packages, host, password, key])
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
                HostName = result.GetRequiredValue(host),
                RootPassword = result.GetValue(password),
                SshKey = result.GetValue(key) is { } path ? (await File.ReadAllTextAsync(path, cancellationToken)).Trim() : null,
            };
            string target = Path.GetFullPath(result.GetRequiredValue(file));
            Stopwatch clock = Stopwatch.StartNew();
            using (CreationProgress line = new(environment, verbose: false))
            {
                await MakeAsync(environment, recipe, target, result.GetValue(format) == "qcow2", new Display(environment, line), cancellationToken);
            }

            environment.WriteLine($"Made {target} in {clock.Elapsed.TotalSeconds:F1} s");
            return ExitCodes.Success;
        });
        return root;
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
