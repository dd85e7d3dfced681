using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage;

/// <summary>The in-use lock of an image, on the bytes that QEMU's tools lock as well, so that they and we keep off each other's images.</summary>
/// <remarks>
/// QEMU block/file-posix.c: byte 100+n is locked by who uses permission n, byte 200+n by who does not share it; n is 0 consistent read,
/// 1 write, 2 write unchanged, 3 resize. A writer of ours locks all of them exclusively. A reader locks what a QEMU reader locks.
/// </remarks>
internal static class ImageLock
{
    private const long Base = 100;
    private const long Length = 110;
    private const long Reads = 100;
    private const long Writes = 101;
    private const long Resizes = 103;
    private const long SharesNoWrite = 201;
    private const long SharesNoResize = 203;

    /// <exception cref="ImageInUseException">It is held by another.</exception>
    public static void Take(SafeFileHandle file, string path, bool exclusive)
    {
        if (exclusive
            ? FileRangeLock.TryLock(file, Base, Length, exclusive: true)
            : TakeShared(file))
        {
            return;
        }

        FileRangeLock.Unlock(file, Base, Length);
        throw new ImageInUseException(path, DescribeHolder(path));
    }

    /// <summary>
    /// Gives the lock up, and closes the file. Closing alone is not enough: a child that is being started elsewhere in this process has
    /// the file open until it executes its program, and the lock would stay that long.
    /// </summary>
    public static void ReleaseAndClose(SafeFileHandle file)
    {
        if (!file.IsClosed)
        {
            try
            {
                FileRangeLock.Unlock(file, Base, Length);
            }
            catch (IOException)
            {
                // A file system without locks.
            }

            file.Dispose();
        }
    }

    private static bool TakeShared(SafeFileHandle file) =>
        FileRangeLock.TryLock(file, Reads, 1, exclusive: false)
        && FileRangeLock.TryLock(file, SharesNoWrite, 1, exclusive: false)
        && FileRangeLock.TryLock(file, SharesNoResize, 1, exclusive: false)
        && !FileRangeLock.IsLockedByAnother(file, Writes, 1)
        && !FileRangeLock.IsLockedByAnother(file, Resizes, 1);

    /// <summary>
    /// Who holds locks on a file. The kernel tells no process for such locks in fcntl(2) (they may belong to several), so processes that have the
    /// file open are looked at (proc(5), fdinfo); those of other users cannot be seen.
    /// </summary>
    public static string DescribeHolder(string path)
    {
        string real = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(process.AsSpan()), CultureInfo.InvariantCulture, out int id) && HoldsLock(process, real))
            {
                return Describe(id);
            }
        }

        return "another process";
    }

    private static bool HoldsLock(string process, string path)
    {
        try
        {
            foreach (string descriptor in Directory.EnumerateFileSystemEntries(Path.Combine(process, "fd")))
            {
                if (new FileInfo(descriptor).LinkTarget == path
                    && File.ReadAllText(Path.Combine(process, "fdinfo", Path.GetFileName(descriptor))).Contains("OFDLCK", StringComparison.Ordinal))
                {
                    return true;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile, or is another user's.
        }

        return false;
    }

    private static string Describe(int id)
    {
        string name = id == Environment.ProcessId ? "this process" : $"process {id}";
        try
        {
            string[] words = File.ReadAllText($"/proc/{id}/cmdline").Split('\0', StringSplitOptions.RemoveEmptyEntries);

            // A domain process: ... domain --spec RUN/domains/N/spec.json.
            int spec = Array.IndexOf(words, "--spec");
            if (spec >= 0 && spec + 1 < words.Length && Path.GetFileName(Path.GetDirectoryName(words[spec + 1])) is { Length: > 0 } domain)
            {
                return $"domain {domain} ({name})";
            }

            // One that was started ahead of its domain: ... domain --await SOCKET, and the process's name says the rest.
            if (words.Contains("--await") && File.ReadAllText($"/proc/{id}/comm").TrimEnd() is { } own && own.StartsWith("domain ", StringComparison.Ordinal))
            {
                return $"{own} ({name})";
            }

            string program = string.Join(' ', words.Take(3));
            return $"{name} ({(program.Length > 100 ? program[..100] : program)})";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return name;
        }
    }
}
