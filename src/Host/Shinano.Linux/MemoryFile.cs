using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>An anonymous, sparse memory file (memfd) mapped read-write once into this process, at an address that does not change.</summary>
/// <remarks>
/// <para>At first the mapping is shared: what is written is the file's. <see cref="Freeze"/> and <see cref="Adopt"/> make it a private one of files that are sealed, base
/// and delta; what is written then is this process's own copy of a page. Nothing may be written to the mapping while either runs.</para>
/// <para>Pages read as zero until they are written.</para>
/// </remarks>
public sealed unsafe class MemoryFile : IDisposable
{
    /// <summary>
    /// A delta of more than this part of the whole content is not made: a new base is. A base costs as much as there is content, and then later deltas are small again.
    /// </summary>
    private const int LargestDeltaPart = 4;

    /// <summary>Runs of a delta that are mapped; of a more scattered one the pages are copied. Linux: vm.max_map_count is 65530.</summary>
    private const int MostMappedRuns = 4096;

    private readonly string _name;
    private SafeFileHandle _file;
    private SealedMemory? _base;
    private SealedMemory? _delta;

    /// <summary>Creates and maps a memory file.</summary>
    /// <param name="name">Shown in /proc/PID/maps; no meaning otherwise.</param>
    /// <param name="length">Length in bytes, a multiple of 4096.</param>
    /// <exception cref="Win32Exception">The host refused the file or the mapping.</exception>
    public MemoryFile(string name, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        _name = name;
        _file = new SafeFileHandle(NativeMemoryCalls.MemfdCreate(name, NativeMemoryCalls.MemfdCloseOnExec | NativeMemoryCalls.MemfdAllowSealing), ownsHandle: true);
        if (_file.IsInvalid)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "memfd_create failed");
        }

        Length = length;
        nint address = NativeMemoryCalls.MapFailed;
        if (NativeMemoryCalls.FTruncate(Number(_file), length) == 0)
        {
            address = NativeMemoryCalls.MMap(
                0,
                (nuint)length,
                NativeMemoryCalls.ProtRead | NativeMemoryCalls.ProtWrite,
                NativeMemoryCalls.MapShared | NativeMemoryCalls.MapNoReserve,
                Number(_file),
                0);
        }

        if (address == NativeMemoryCalls.MapFailed)
        {
            int error = Marshal.GetLastPInvokeError();
            _file.Dispose();
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

    /// <summary>The file descriptor of a mapping that is still shared.</summary>
    public int Descriptor => Number(_file);

    /// <summary>The mapping is a private one: pages of its files and copies of this process's.</summary>
    public bool IsPrivate => _base is not null;

    /// <summary>
    /// The parts that may hold anything but zeros, by offset, in ascending order: the rest is holes, which reading through the mapping would fill. Nothing is changed
    /// meanwhile that is to be found.
    /// </summary>
    public IEnumerable<(long Start, long End)> FindContent()
    {
        PageSet pages = new(Length);
        if (_base is { } frozen)
        {
            frozen.AddPages(pages);
            AddChanged(pages);
            return pages.Runs();
        }

        return FindShared();
    }

    /// <summary>
    /// Fixes the present content, for others to map, and goes on with a private mapping of it. The first time this takes no longer for more content; later it takes
    /// as long as copying what has changed since.
    /// </summary>
    /// <returns>Of the caller; this object keeps descriptors of its own.</returns>
    /// <exception cref="IOException">The host refused; content and mapping are as before.</exception>
    public FrozenMemory Freeze()
    {
        if (_base is null)
        {
            MapPrivately(_file, 0, Length);
            try
            {
                _base = SealedMemory.Of(_file);
            }
            catch (IOException)
            {
                Map(_file, 0, Length, NativeMemoryCalls.MapShared);
                throw;
            }

            return new FrozenMemory(Duplicate(_base), null);
        }

        PageSet changed = new(Length);
        AddChanged(changed);
        long count = changed.Count;
        if (count == 0)
        {
            return new FrozenMemory(Duplicate(_base), null);
        }

        PageSet content = new(Length);
        _base.AddPages(content);
        if (count <= content.Count / LargestDeltaPart)
        {
            return new FrozenMemory(Duplicate(_base), Copy(changed));
        }

        AddChanged(content);
        Replace(Copy(content), null);
        return new FrozenMemory(Duplicate(_base), null);
    }

    /// <summary>Maps what another froze instead of what is there, privately.</summary>
    /// <param name="memory">Is this object's.</param>
    /// <exception cref="InvalidDataException">It is of another length.</exception>
    /// <exception cref="IOException">The host refused.</exception>
    public void Adopt(FrozenMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (memory.Base.Length != Length || (memory.Delta is { } other && other.Length != Length))
        {
            memory.Dispose();
            throw new InvalidDataException($"the memory of {memory.Base.Length} bytes that was sent is not {Length} bytes long");
        }

        Replace(memory.Base, memory.Delta);
        if (memory.Delta is not { } delta)
        {
            return;
        }

        PageSet pages = new(Length);
        delta.AddPages(pages);
        int runs = 0;
        foreach ((long start, long end) in pages.Runs())
        {
            if (runs++ < MostMappedRuns)
            {
                MapPrivately(delta.File, start, end - start);
            }
            else
            {
                ReadInto(delta, start, end);
            }
        }
    }

    /// <summary>Returns a range's pages to the host.</summary>
    /// <returns>False when they do not read as zero afterwards, but as something that was there before: of a private mapping, what the files hold.</returns>
    public bool Discard(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, Length);
        if (_base is { } frozen)
        {
            _ = NativeMemoryCalls.MAdvise((nint)(Address + offset), (nuint)length, NativeMemoryCalls.AdviseDontNeed);
            for (long page = offset; page < offset + length; page += PageSet.PageSize)
            {
                if (frozen.HasPage(page) || _delta?.HasPage(page) == true)
                {
                    return false;
                }
            }

            return true;
        }

        int mode = NativeMemoryCalls.FallocatePunchHole | NativeMemoryCalls.FallocateKeepSize;
        if (NativeMemoryCalls.FAllocate(Number(_file), mode, offset, length) != 0)
        {
            // SAFETY: the range was checked against the mapping above.
            new Span<byte>(Address + offset, checked((int)length)).Clear();
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Address is null)
        {
            return;
        }

        _ = NativeMemoryCalls.MUnmap((nint)Address, (nuint)Length);
        _file.Dispose();
        _base?.Dispose();
        _delta?.Dispose();
        Address = null;
    }

    private static int Number(SafeFileHandle file) => (int)file.DangerousGetHandle();

    private static SealedMemory Duplicate(SealedMemory memory) => SealedMemory.Open(DescriptorPassing.Duplicate(memory.File));

    private IEnumerable<(long Start, long End)> FindShared()
    {
        for (long end = 0; end < Length;)
        {
            long start = NativeMemoryCalls.LSeek(Number(_file), end, NativeMemoryCalls.SeekData);
            if (start < 0)
            {
                yield break;
            }

            long hole = NativeMemoryCalls.LSeek(Number(_file), start, NativeMemoryCalls.SeekHole);
            end = hole < 0 ? Length : hole;
            yield return (start, end);
        }
    }

    /// <summary>Adds the pages that are not the base's.</summary>
    private void AddChanged(PageSet pages)
    {
        _delta?.AddPages(pages);
        PageMap.AddPrivate((nint)Address, Length, pages);
    }

    private SealedMemory Copy(PageSet pages) => SealedMemory.Create(_name, Length, file =>
    {
        foreach ((long start, long end) in pages.Runs())
        {
            for (long offset = start; offset < end;)
            {
                // SAFETY: runs of a set of this file's pages lie within the mapping.
                ReadOnlySpan<byte> part = new(Address + offset, (int)Math.Min(end - offset, 1 << 30));
                RandomAccess.Write(file, part, offset);
                offset += part.Length;
            }
        }
    });

    private void Replace(SealedMemory content, SealedMemory? delta)
    {
        MapPrivately(content.File, 0, Length);
        _file.Dispose();
        _base?.Dispose();
        _delta?.Dispose();
        _base = content;
        _file = content.File;
        _delta = delta;
    }

    private void MapPrivately(SafeFileHandle file, long offset, long length) => Map(file, offset, length, NativeMemoryCalls.MapPrivate);

    private void Map(SafeFileHandle file, long offset, long length, int kind)
    {
        nint address = (nint)(Address + offset);
        nint mapped = NativeMemoryCalls.MMap(
            address,
            (nuint)length,
            NativeMemoryCalls.ProtRead | NativeMemoryCalls.ProtWrite,
            kind | NativeMemoryCalls.MapFixed | NativeMemoryCalls.MapNoReserve,
            Number(file),
            offset);
        if (mapped != address)
        {
            throw new IOException($"mmap of {length} bytes: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }

        _ = NativeMemoryCalls.MAdvise(address, (nuint)length, NativeMemoryCalls.AdviseDontDump);
    }

    private void ReadInto(SealedMemory file, long start, long end)
    {
        while (start < end)
        {
            // SAFETY: runs of a set of this file's pages lie within the mapping.
            int read = RandomAccess.Read(file.File, new Span<byte>(Address + start, (int)Math.Min(end - start, 1 << 30)), start);
            if (read == 0)
            {
                throw new IOException("a sealed memory file ended early");
            }

            start += read;
        }
    }
}
