using System.Globalization;
using System.Text;

namespace Shinano.Control.GuestPackages;

/// <summary>
/// Writes a cpio archive in the "newc" format, which Linux takes as an initramfs (Documentation/driver-api/early-userspace/
/// buffer-format.rst). Same calls, same bytes: times are 0, owners are root, inode numbers count up.
/// <code>
/// "070701", 13 numbers of 8 hexadecimal digits: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor
/// namesize check; the name with its NUL, padded to 4 counted from the header; the content, padded to 4
/// </code>
/// </summary>
public sealed class CpioWriter
{
    private const uint TypeDirectory = 0x4000;
    private const uint TypeCharacterDevice = 0x2000;
    private const uint TypeFile = 0x8000;
    private const uint TypeLink = 0xa000;

    /// <summary>rwxr-xr-x.</summary>
    public const int ExecutableMode = 0x1ed;

    /// <summary>rw-r--r--.</summary>
    public const int ReadableMode = 0x1a4;

    private readonly MemoryStream archive = new();
    private readonly HashSet<string> names = new(StringComparer.Ordinal);
    private uint inode;

    /// <summary>Adds a directory and those above it that are not there yet; one that is there is left alone.</summary>
    public void AddDirectory(string path, int permissions = ExecutableMode)
    {
        path = Normalise(path);
        if (path.Length == 0 || names.Contains(path))
        {
            return;
        }

        AddParents(path);
        Write(path, TypeDirectory | (uint)permissions, [], linkCount: 2);
    }

    public void AddFile(string path, ReadOnlySpan<byte> content, int permissions = ReadableMode)
    {
        path = NewName(path);
        Write(path, TypeFile | (uint)permissions, content);
    }

    public void AddSymbolicLink(string path, string target)
    {
        path = NewName(path);
        Write(path, TypeLink | 0x1ff, Encoding.UTF8.GetBytes(target));
    }

    public void AddCharacterDevice(string path, int major, int minor, int permissions)
    {
        path = NewName(path);
        Write(path, TypeCharacterDevice | (uint)permissions, [], deviceMajor: (uint)major, deviceMinor: (uint)minor);
    }

    /// <summary>Whether something of this path has been added.</summary>
    public bool Contains(string path) => names.Contains(Normalise(path));

    /// <summary>The whole archive with its end mark, padded to 512 bytes as cpio does. More may be added afterwards.</summary>
    public byte[] ToArray()
    {
        var length = archive.Length;
        var savedInode = inode;
        inode = uint.MaxValue; // the trailer's inode is 0
        Write("TRAILER!!!", 0, []);
        names.Remove("TRAILER!!!");
        archive.Write(new byte[-archive.Length & 511]);
        var bytes = archive.ToArray();
        archive.SetLength(length);
        inode = savedInode;
        return bytes;
    }

    private string NewName(string path)
    {
        path = Normalise(path);
        if (path.Length == 0 || names.Contains(path))
        {
            throw new ArgumentException($"'/{path}' is in the archive already", nameof(path));
        }

        AddParents(path);
        return path;
    }

    private void AddParents(string path)
    {
        var slash = path.LastIndexOf('/');
        if (slash > 0)
        {
            AddDirectory(path[..slash]);
        }
    }

    private static string Normalise(string path)
    {
        path = path.Trim('/');
        return path.Contains('\0') || path.Split('/').Any(part => part is "." or ".." || (part.Length == 0 && path.Length > 0))
            ? throw new ArgumentException($"'{path}' is not a plain path", nameof(path))
            : path;
    }

    private void Write(string name, uint mode, ReadOnlySpan<byte> content, uint linkCount = 1, uint deviceMajor = 0, uint deviceMinor = 0)
    {
        inode = unchecked(inode + 1);
        var nameBytes = Encoding.UTF8.GetBytes(name + "\0");
        ReadOnlySpan<uint> fields =
        [
            inode, mode, 0, 0, linkCount, 0, (uint)content.Length, 0, 0, deviceMajor, deviceMinor, (uint)nameBytes.Length, 0,
        ];
        archive.Write("070701"u8);
        foreach (var field in fields)
        {
            archive.Write(Encoding.ASCII.GetBytes(field.ToString("x8", CultureInfo.InvariantCulture)));
        }

        archive.Write(nameBytes);
        archive.Write(new byte[-archive.Length & 3]);
        archive.Write(content);
        archive.Write(new byte[-archive.Length & 3]);
        names.Add(name);
    }
}
