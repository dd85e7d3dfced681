using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>An anonymous, sparse memory file (memfd) mapped read-write once into this process.</summary>
/// <remarks>Pages read as zero until they are written; <see cref="Discard"/> gives them back to the host and makes them zero again.</remarks>
public sealed unsafe class MemoryFile : IDisposable
{
    private int _descriptor;

    /// <summary>Creates and maps a memory file.</summary>
    /// <param name="name">Shown in /proc/PID/maps; no meaning otherwise.</param>
    /// <param name="length">Length in bytes, a multiple of 4096.</param>
    /// <exception cref="Win32Exception">The host refused the file or the mapping.</exception>
    public MemoryFile(string name, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        _descriptor = NativeMemoryCalls.MemfdCreate(name, NativeMemoryCalls.MemfdCloseOnExec);
        if (_descriptor < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "memfd_create failed");
        }

        Length = length;
        nint address = NativeMemoryCalls.MapFailed;
        if (NativeMemoryCalls.FTruncate(_descriptor, length) == 0)
        {
            address = NativeMemoryCalls.MMap(
                0,
                (nuint)length,
                NativeMemoryCalls.ProtRead | NativeMemoryCalls.ProtWrite,
                NativeMemoryCalls.MapShared | NativeMemoryCalls.MapNoReserve,
                _descriptor,
                0);
        }

        if (address == NativeMemoryCalls.MapFailed)
        {
            int error = Marshal.GetLastPInvokeError();
            _ = NativeMemoryCalls.Close(_descriptor);
            throw new Win32Exception(error, $"cannot map {length} bytes of memory");
        }

        Address = (byte*)address;

        // Huge pages are a wish, and guest memory does not belong into a core dump of the host process: both may be refused.
        _ = NativeMemoryCalls.MAdvise(address, (nuint)length, NativeMemoryCalls.AdviseHugePage);
        _ = NativeMemoryCalls.MAdvise(address, (nuint)length, NativeMemoryCalls.AdviseDontDump);
    }

    /// <summary>First byte of the mapping. Valid until <see cref="Dispose"/>.</summary>
    public byte* Address { get; private set; }

    /// <summary>Length in bytes.</summary>
    public long Length { get; }

    /// <summary>The file descriptor, for passing to another process.</summary>
    public int Descriptor => _descriptor;

    /// <summary>Finds what the file holds from an offset on: the rest is holes, which reading through the mapping would fill.</summary>
    /// <param name="from">Offset in bytes, a multiple of 4096.</param>
    /// <param name="start">Start of the next part with data.</param>
    /// <param name="end">Its end.</param>
    /// <returns>False when there is no data from there on.</returns>
    public bool TryFindData(long from, out long start, out long end)
    {
        end = Length;
        start = from >= Length ? -1 : NativeMemoryCalls.LSeek(_descriptor, from, NativeMemoryCalls.SeekData);
        if (start < 0)
        {
            return false;
        }

        long hole = NativeMemoryCalls.LSeek(_descriptor, start, NativeMemoryCalls.SeekHole);
        end = hole < 0 ? Length : hole;
        return true;
    }

    /// <summary>Returns a range's pages to the host; they read as zero afterwards.</summary>
    public void Discard(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, Length);
        int mode = NativeMemoryCalls.FallocatePunchHole | NativeMemoryCalls.FallocateKeepSize;
        if (NativeMemoryCalls.FAllocate(_descriptor, mode, offset, length) != 0)
        {
            // SAFETY: the range was checked against the mapping above.
            new Span<byte>(Address + offset, checked((int)length)).Clear();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_descriptor < 0)
        {
            return;
        }

        _ = NativeMemoryCalls.MUnmap((nint)Address, (nuint)Length);
        _ = NativeMemoryCalls.Close(_descriptor);
        Address = null;
        _descriptor = -1;
    }
}
