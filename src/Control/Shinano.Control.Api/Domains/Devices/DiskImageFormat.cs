namespace Shinano.Control.Api.Domains.Devices;

/// <summary>How the bytes of a virtual disk lie in its file.</summary>
public enum DiskImageFormat
{
    /// <summary>One after the other, in a file or a block device.</summary>
    Raw,

    /// <summary>docs/interop/qcow2 of QEMU.</summary>
    Qcow2,
}
