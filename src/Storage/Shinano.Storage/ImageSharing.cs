namespace Shinano.Storage;

/// <summary>Who else may have an image open meanwhile.</summary>
public enum ImageSharing
{
    /// <summary>A writer excludes all others; readers exclude writers.</summary>
    Exclusive,

    /// <summary>Anybody: no lock is taken. For disks that guests share by agreement (<c>w!</c>); raw images only.</summary>
    Unlocked,
}
