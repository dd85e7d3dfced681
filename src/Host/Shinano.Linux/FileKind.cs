namespace Shinano.Linux;

/// <summary>Kinds of files, as stat(2) tells them.</summary>
public enum FileKind
{
    /// <summary>There is none, or it may not be looked at.</summary>
    Missing,

    /// <summary>A regular file.</summary>
    Regular,

    /// <summary>A block device.</summary>
    BlockDevice,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A character device, FIFO or socket.</summary>
    Other,
}
