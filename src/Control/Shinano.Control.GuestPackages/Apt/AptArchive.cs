using System.Globalization;
using System.Text.RegularExpressions;

namespace Shinano.Control.GuestPackages.Apt;

/// <summary>
/// Debian's archive through apt-get and apt-cache with a state of our own: the host's sources and keys, but none of its lists,
/// locks or installed packages. So it works without root, and apt checks the signatures as always.
/// </summary>
internal sealed partial class AptArchive(string stateDirectory, IProgramRunner runner)
{
    private const string FetchWarning = "W: Failed to fetch ";

    private bool listsAreFresh;

    /// <summary>Reads the package lists once in the life of this object. Null when that worked, else apt's complaint.</summary>
    public async Task<string?> UpdateAsync(string forPackage, IProgress<PackageProgress>? progress, CancellationToken cancellation)
    {
        if (listsAreFresh)
        {
            return null;
        }

        CreateState();
        progress?.Report(new PackageProgress(PackageStage.UpdatingLists, forPackage, 0, 0, 0));
        var result = await RunAsync(
            "apt-get",
            ["-q", "-o", "APT::Status-Fd=1", "update"],
            stateDirectory,
            line => ReportStatus(line, PackageStage.UpdatingLists, forPackage, 0, progress),
            cancellation).ConfigureAwait(false);

        // Without a network apt-get warns and ends with 0. And one broken source of the host (a third party's, say) does not matter
        // here: what counts is whether the package is found afterwards.
        listsAreFresh = result.Succeeded && !result.Error.Contains(FetchWarning, StringComparison.Ordinal);
        return listsAreFresh ? null : Complaint(result);
    }

    /// <summary>What <paramref name="name"/> stands for; null when the lists do not have it.</summary>
    public async Task<PackageCandidate?> FindAsync(string name, CancellationToken cancellation)
    {
        CreateState();
        var candidate = await ShowAsync(name, cancellation).ConfigureAwait(false);
        return candidate?.KernelDependency is { } kernel
            ? await ShowAsync(kernel, cancellation).ConfigureAwait(false)
            : candidate;
    }

    /// <summary>Downloads the candidate into <paramref name="directory"/>. The path of the .deb, or apt's complaint.</summary>
    public async Task<(string? Path, string? Complaint)> DownloadAsync(
        PackageCandidate candidate, string directory, IProgress<PackageProgress>? progress, CancellationToken cancellation)
    {
        progress?.Report(new PackageProgress(PackageStage.Downloading, candidate.Name, 0, candidate.Size, 0));
        var result = await RunAsync(
            "apt-get",
            ["-q", "-o", "APT::Status-Fd=1", "download", $"{candidate.Name}={candidate.Version}"],
            directory,
            line => ReportStatus(line, PackageStage.Downloading, candidate.Name, candidate.Size, progress),
            cancellation).ConfigureAwait(false);
        var file = Directory.EnumerateFiles(directory, "*.deb").FirstOrDefault();
        if (!result.Succeeded || file is null)
        {
            return (null, Complaint(result));
        }

        progress?.Report(new PackageProgress(PackageStage.Downloading, candidate.Name, candidate.Size, candidate.Size, 100));
        return (file, null);
    }

    private async Task<PackageCandidate?> ShowAsync(string name, CancellationToken cancellation)
    {
        var result = await RunAsync("apt-cache", ["show", "--no-all-versions", name], stateDirectory, null, cancellation)
            .ConfigureAwait(false);
        return result.Succeeded ? PackageCandidate.Parse(result.Output) : null;
    }

    private Task<ProgramResult> RunAsync(
        string program, string[] arguments, string directory, Action<string>? onLine, CancellationToken cancellation) =>
        runner.RunAsync(program, [.. PrivateState(), .. arguments], directory, onLine, cancellation);

    private IEnumerable<string> PrivateState()
    {
        string[] settings =
        [
            $"Dir::State={stateDirectory}",
            $"Dir::State::lists={Path.Combine(stateDirectory, "lists")}",
            $"Dir::State::status={Path.Combine(stateDirectory, "status")}",
            $"Dir::Cache={Path.Combine(stateDirectory, "cache")}",
            $"Dir::Log={Path.Combine(stateDirectory, "log")}",
            "APT::Sandbox::User=", // as root, apt would become _apt, which cannot write to our directories
            "Acquire::Languages=none",
            "Acquire::Retries=2",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::CNF::DefaultEnabled=false",
        ];
        return settings.SelectMany(setting => new[] { "-o", setting });
    }

    private void CreateState()
    {
        Directory.CreateDirectory(Path.Combine(stateDirectory, "lists", "partial"));
        Directory.CreateDirectory(Path.Combine(stateDirectory, "cache", "archives", "partial"));
        var status = Path.Combine(stateDirectory, "status");
        if (!File.Exists(status))
        {
            File.WriteAllText(status, string.Empty);
        }
    }

    /// <summary>apt's APT::Status-Fd lines: "dlstatus:FILES:PERCENT:DESCRIPTION".</summary>
    private static void ReportStatus(string line, PackageStage stage, string package, long size, IProgress<PackageProgress>? progress)
    {
        var match = DownloadStatus().Match(line);
        if (progress is not null && match.Success
            && double.TryParse(match.Groups[1].ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out var percent))
        {
            percent = Math.Clamp(percent, 0, 100);
            progress.Report(new PackageProgress(stage, package, (long)(size * percent / 100), size, percent));
        }
    }

    private static string Complaint(ProgramResult result)
    {
        if (result.ExitCode == ProgramResult.NotFound)
        {
            return "apt-get was not found: this host is not Debian or a derivative of it";
        }

        var lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var line = lines.FirstOrDefault(line => line.StartsWith("E:", StringComparison.Ordinal))
            ?? lines.FirstOrDefault(line => line.StartsWith(FetchWarning, StringComparison.Ordinal))
            ?? lines.LastOrDefault();
        return line is ['E' or 'W', ':', ' ', .. var text] ? text : line
            ?? $"apt-get ended with code {result.ExitCode}";
    }

    [GeneratedRegex(@"^dlstatus:\d+:([0-9.]+):")]
    private static partial Regex DownloadStatus();
}
