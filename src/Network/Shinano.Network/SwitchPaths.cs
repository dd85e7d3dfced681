namespace Shinano.Network;

/// <summary>Where the switch's sockets and files are.</summary>
/// <param name="directory">Theirs alone, and the user's.</param>
public sealed class SwitchPaths(string directory)
{
    /// <summary>Directory of all of them.</summary>
    public string Directory => directory;

    /// <summary>Held by the one switch of this directory.</summary>
    public string Lock => Path.Combine(directory, "lock");

    /// <summary>Where xend is served.</summary>
    public string Control => Path.Combine(directory, "control");

    /// <summary>Where domain processes are connected.</summary>
    public string Links => Path.Combine(directory, "links");

    /// <summary>What xend has asked for, one file per vnic.</summary>
    public string Vnics => Path.Combine(directory, "vnics");
}
