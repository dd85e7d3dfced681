using Shinano.Linux;

namespace Shinano.Network;

/// <summary>Where the switch's sockets are.</summary>
/// <param name="paths">The host's places.</param>
public sealed class SwitchPaths(ShinanoPaths paths)
{
    /// <summary>Directory of all of them, for the user alone.</summary>
    public string Directory => Path.Combine(paths.RunDirectory, "network");

    /// <summary>Held by the one switch of this directory.</summary>
    public string Lock => Path.Combine(Directory, "lock");

    /// <summary>Where xend is served.</summary>
    public string Control => Path.Combine(Directory, "control");

    /// <summary>Where domain processes are connected.</summary>
    public string Links => Path.Combine(Directory, "links");

    /// <summary>What xend has asked for, one file per vnic.</summary>
    public string Vnics => Path.Combine(Directory, "vnics");

    /// <summary>Output of the switch.</summary>
    public string Log => Path.Combine(paths.LogDirectory, "switch.log");
}
