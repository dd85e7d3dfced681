using System.Buffers;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>Which pages of a private mapping this process has copies of its own of (Linux: Documentation/admin-guide/mm/pagemap.rst).</summary>
public static class PageMap
{
    private const ulong Present = 1UL << 63;
    private const ulong Swapped = 1UL << 62;
    private const ulong OfFile = 1UL << 61;
    private const int BatchEntries = 1 << 15;

    private static readonly Lazy<SafeFileHandle> Handle = new(() => File.OpenHandle("/proc/self/pagemap"));

    /// <summary>
    /// Opens the file. To be called before <see cref="ProcessConfinement.ForbidCoreFiles"/>, after which it is root's.
    /// </summary>
    /// <exception cref="IOException">The host has none, or does not give it.</exception>
    public static void Open() => _ = Handle.Value;

    /// <summary>Adds the pages of a mapping that are neither the file's nor untouched.</summary>
    internal static void AddPrivate(nint address, long length, PageSet pages)
    {
        ulong[] entries = ArrayPool<ulong>.Shared.Rent(BatchEntries);
        try
        {
            long first = address / PageSet.PageSize;
            long count = length / PageSet.PageSize;
            for (long page = 0; page < count;)
            {
                Span<byte> batch = MemoryMarshal.AsBytes(entries.AsSpan(0, (int)Math.Min(count - page, BatchEntries)));
                int read = RandomAccess.Read(Handle.Value, batch, (first + page) * sizeof(ulong)) / sizeof(ulong);
                if (read == 0)
                {
                    throw new IOException("/proc/self/pagemap ends within a mapping");
                }

                for (int i = 0; i < read; i++)
                {
                    if ((entries[i] & (Present | Swapped)) != 0 && (entries[i] & OfFile) == 0)
                    {
                        pages.Add(page + i);
                    }
                }

                page += read;
            }
        }
        finally
        {
            ArrayPool<ulong>.Shared.Return(entries);
        }
    }
}
