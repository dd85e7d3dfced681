using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Names of the files that domains leave in the log and state directories.</summary>
internal sealed class DomainLogs(ShinanoPaths paths)
{
    public string XendLog => Path.Combine(paths.LogDirectory, "xend.log");

    /// <summary>What the domain process itself prints.</summary>
    public string ProcessLog(string name) => Path.Combine(paths.LogDirectory, $"domain-{name}.log");

    /// <summary>What the guest prints.</summary>
    public string ConsoleLog(string name) => Path.Combine(paths.LogDirectory, "console", $"guest-{name}.log");

    /// <summary>A new core file's name.</summary>
    public string Core(string name, int id, DateTimeOffset now) =>
        Path.Combine(ShinanoPaths.EnsureDirectory(Path.Combine(paths.StateDirectory, "dump")), $"{now:yyyy-MMdd-HHmm.ss}-{name}.{id}.core");
}
