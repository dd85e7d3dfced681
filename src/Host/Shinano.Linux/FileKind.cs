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

    /// <summary>A unix socket.</summary>
    Socket,

    /// <summary>A character device or FIFO.</summary>
    Other,
}
