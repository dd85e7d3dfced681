using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Configuration.Networks;
using Shinano.Network.Frames;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Turns a client's text into a configuration with absolute paths.</summary>
internal static class ConfigurationIntake
{
    public static (DomainConfiguration? Configuration, IReadOnlyList<DiagnosticMessage> Diagnostics) Read(ConfigurationRequest request)
    {
        ConfigurationResult result = ConfigurationReader.Read(
            new ConfigurationText(request.FileName, request.Text, request.Overrides), request.Strict);
        DiagnosticMessage[] diagnostics =
        [
            .. result.Diagnostics.Select(d => new DiagnosticMessage(d.Severity == DiagnosticSeverity.Error, d.ToString())),
        ];
        return (result.Configuration is { } configuration ? Anchor(configuration, request.WorkingDirectory) : null, diagnostics);
    }

    public static DomainFailure Failure(string fileName, IReadOnlyList<DiagnosticMessage> diagnostics)
    {
        int errors = diagnostics.Count(diagnostic => diagnostic.IsError);
        return new DomainFailure(DomainFailureCode.BadConfiguration, $"{fileName}: {errors} error{(errors == 1 ? "" : "s")}: no domain was made");
    }

    private static DomainConfiguration Anchor(DomainConfiguration configuration, string workingDirectory) => configuration with
    {
        Kernel = configuration.Kernel.Length == 0 ? "" : Path.GetFullPath(configuration.Kernel, workingDirectory),
        Ramdisk = configuration.Ramdisk is { } ramdisk ? Path.GetFullPath(ramdisk, workingDirectory) : null,
        Disks = [.. configuration.Disks.Select(disk => Anchor(disk, workingDirectory))],
        Vifs = [.. configuration.Vifs.Select(Complete)],
        Channels = [.. configuration.Channels.Select(channel => channel.Path is { } path ? channel with { Path = Path.GetFullPath(path, workingDirectory) } : channel)],
    };

    /// <summary>Gives an interface an address that it keeps, over restarts and in a managed domain.</summary>
    public static VifConfiguration Complete(VifConfiguration vif) => vif.Mac is null ? vif with { Mac = MacAddress.CreateXen().ToString() } : vif;

    /// <summary>Makes a disk's path absolute.</summary>
    public static DiskConfiguration Anchor(DiskConfiguration disk, string workingDirectory) =>
        disk.Target is { } target ? disk with { Target = Path.GetFullPath(target, workingDirectory) } : disk;
}
