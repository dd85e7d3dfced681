namespace Shinano.Storage;

/// <summary>How a file or device keeps a disk's contents. Always stated, never guessed: a guest could write another format's header into a raw image.</summary>
public enum ImageFormat
{
    /// <summary>The bytes themselves, in a file or a block device.</summary>
    Raw,

    /// <summary>QEMU's format, version 2 or 3 (QEMU docs/interop/qcow2.txt).</summary>
    Qcow2,
}
