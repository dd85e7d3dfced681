using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>What stat(2) tells of a path, links followed; nothing is opened. Source: asm/stat.h, struct stat of x86-64.</summary>
/// <param name="Kind">Never <see cref="FileKind.Missing"/>.</param>
/// <param name="Device">st_dev: what holds its file system.</param>
/// <param name="OwnDevice">st_rdev: the device that it names, when it is one.</param>
/// <param name="Blocks">st_blocks: what it takes, in units of 512 bytes.</param>
internal readonly partial record struct FileStatus(FileKind Kind, ulong Device, ulong OwnDevice, long Blocks)
{
    private const int Size = 144;
    private const int DeviceAt = 0;
    private const int ModeAt = 24;
    private const int OwnDeviceAt = 40;
    private const int BlocksAt = 64;

    /// <summary>Null when there is none, or it may not be looked at.</summary>
    public static FileStatus? Of(string path)
    {
        byte[] status = new byte[Size];
        if (Status(path, status) != 0)
        {
            return null;
        }

        FileKind kind = (BitConverter.ToUInt32(status, ModeAt) & 0xf000) switch
        {
            0x8000 => FileKind.Regular, // S_IFREG
            0x6000 => FileKind.BlockDevice, // S_IFBLK
            0x4000 => FileKind.Directory, // S_IFDIR
            0xc000 => FileKind.Socket, // S_IFSOCK
            _ => FileKind.Other,
        };
        return new FileStatus(
            kind, BitConverter.ToUInt64(status, DeviceAt), BitConverter.ToUInt64(status, OwnDeviceAt), BitConverter.ToInt64(status, BlocksAt));
    }

    [LibraryImport("libc", EntryPoint = "stat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Status(string path, [Out] byte[] status);
}
