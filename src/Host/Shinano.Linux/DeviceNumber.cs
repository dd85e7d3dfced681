using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>Number of a block device, as the kernel splits it.</summary>
/// <param name="Major">Which driver.</param>
/// <param name="Minor">Which of its devices.</param>
public readonly partial record struct DeviceNumber(uint Major, uint Minor)
{
    /// <summary>The device that a path names, or the one that holds its file system when it names no device; null when there is no such file.</summary>
    public static DeviceNumber? Of(string path)
    {
        // struct stat of x86-64 (asm/stat.h): 144 bytes, st_dev at 0, st_mode at 24, st_rdev at 40.
        byte[] status = new byte[144];
        if (Status(path, status) != 0)
        {
            return null;
        }

        const uint BlockDevice = 0x6000; // S_IFBLK
        bool isDevice = (BitConverter.ToUInt32(status, 24) & 0xf000) == BlockDevice;
        ulong number = BitConverter.ToUInt64(status, isDevice ? 40 : 0);

        // makedev(3) of glibc: sys/sysmacros.h.
        return new DeviceNumber((uint)(((number >> 8) & 0xfff) | ((number >> 32) & 0xfffff000)), (uint)((number & 0xff) | ((number >> 12) & 0xffffff00)));
    }

    /// <summary>MAJOR:MINOR in hexadecimal, as Xen's scripts write <c>physical-device</c>.</summary>
    public string ToHexText() => $"{Major:x}:{Minor:x}";

    [LibraryImport("libc", EntryPoint = "stat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Status(string path, byte[] status);
}
