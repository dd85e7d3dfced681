namespace Shinano.Linux;

/// <summary>Number of a block device, as the kernel splits it.</summary>
/// <param name="Major">Which driver.</param>
/// <param name="Minor">Which of its devices.</param>
public readonly record struct DeviceNumber(uint Major, uint Minor)
{
    /// <summary>The device that a path names, or the one that holds its file system when it names no device; null when there is no such file.</summary>
    public static DeviceNumber? Of(string path)
    {
        if (FileStatus.Of(path) is not { } status)
        {
            return null;
        }

        ulong number = status.Kind == FileKind.BlockDevice ? status.OwnDevice : status.Device;

        // makedev(3) of glibc: sys/sysmacros.h.
        return new DeviceNumber((uint)(((number >> 8) & 0xfff) | ((number >> 32) & 0xfffff000)), (uint)((number & 0xff) | ((number >> 12) & 0xffffff00)));
    }

    /// <summary>MAJOR:MINOR in hexadecimal, as Xen's scripts write <c>physical-device</c>.</summary>
    public string ToHexText() => $"{Major:x}:{Minor:x}";
}
