namespace Shinano.Control.Configuration.Disks;

/// <summary>How a virtual disk's bytes lie in its file.</summary>
public enum DiskFormat
{
    /// <summary>As they are.</summary>
    Raw,

    Qcow2,
}
