namespace Shinano.Control.GuestPackages;

/// <summary>What is being done for a package.</summary>
public enum PackageStage
{
    /// <summary>Another process is filling the same cache; it may be fetching the same package.</summary>
    Waiting,

    /// <summary>Reading the lists of the Debian archive into the private state.</summary>
    UpdatingLists,

    /// <summary>Finding out which package and version a name stands for.</summary>
    Resolving,

    /// <summary>Downloading the package.</summary>
    Downloading,

    /// <summary>Unpacking it into the cache.</summary>
    Extracting,

    /// <summary>The package is in the cache.</summary>
    Done,
}
