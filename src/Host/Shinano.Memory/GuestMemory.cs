using System.Runtime.CompilerServices;
using Shinano.Linux;

namespace Shinano.Memory;

/// <summary>
/// A domain's physical space: a window of frames [<see cref="FirstFrame"/>, FirstFrame + <see cref="FrameCount"/>) over one sparse memfd, so
/// that a frame's host address is an addition. Holes inside the window are frames without <see cref="FrameFlags.Ram"/>.
/// </summary>
/// <remarks>
/// For a PV domain this is its machine space (MFNs); for PVH and HVM, guest-physical space. Every accessor is bounds-checked and copies; a guest's
/// other vCPUs may change bytes at any time, so callers validate the copy. Thread-safe as far as the host's memory is.
/// </remarks>
public sealed unsafe class GuestMemory : IDisposable
{
    public const int PageShift = 12;
    public const int PageSize = 1 << PageShift;

    private readonly MemoryFile _file;
    private readonly MemoryFile _flags;
    private volatile DirtyLog? _log;

    /// <summary>Creates a window in which no frame is memory yet.</summary>
    /// <param name="firstFrame">Number of the window's first frame.</param>
    /// <param name="frameCount">Frames in the window.</param>
    public GuestMemory(ulong firstFrame, long frameCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(frameCount);
        FirstFrame = firstFrame;
        FrameCount = (ulong)frameCount;
        _file = new MemoryFile("shinano-ram", frameCount << PageShift);
        _flags = new MemoryFile("shinano-frames", (frameCount + PageSize - 1) & ~(PageSize - 1L));
    }

    /// <summary>Number of the first frame.</summary>
    public ulong FirstFrame { get; }

    /// <summary>Frames in the window, holes included.</summary>
    public ulong FrameCount { get; }

    /// <summary>Host address of the first frame, for engines: host = HostBase + (physical - (FirstFrame &lt;&lt; 12)).</summary>
    public byte* HostBase => _file.Address;

    /// <summary>One <see cref="FrameFlags"/> byte per frame, for engines.</summary>
    public byte* FlagsBase => _flags.Address;

    /// <summary>Told of writes into code frames; set once by the engine before the first vCPU runs.</summary>
    public ICodeWatcher? CodeWatcher { get; set; }

    /// <summary>Whether <paramref name="frame"/> lies in the window and is memory.</summary>
    public bool IsRam(ulong frame) => (FlagsOf(frame) & FrameFlags.Ram) != 0;

    /// <summary>The frame's flags; <see cref="FrameFlags.None"/> outside the window.</summary>
    public FrameFlags FlagsOf(ulong frame)
    {
        ulong index = frame - FirstFrame;
        return index < FrameCount ? (FrameFlags)Volatile.Read(ref FlagsBase[index]) : FrameFlags.None;
    }

    /// <summary>Sets and clears flags of a frame of the window, atomically against other threads.</summary>
    public void ChangeFlags(ulong frame, FrameFlags set, FrameFlags clear)
    {
        ulong index = frame - FirstFrame;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, FrameCount, nameof(frame));

        // SAFETY: index is inside the flags file, which has a byte per frame.
        ref byte flags = ref FlagsBase[index];
        byte seen;
        do
        {
            seen = Volatile.Read(ref flags);
        }
        while (Interlocked.CompareExchange(ref flags, (byte)((seen | (byte)set) & ~(byte)clear), seen) != seen);
    }

    /// <summary>Makes frames memory, zero when they were none before.</summary>
    public void AddRam(ulong frame, ulong count, FrameFlags also = FrameFlags.None)
    {
        for (ulong i = frame; i < frame + count; i++)
        {
            if ((FlagsOf(i) & FrameFlags.Stale) != 0)
            {
                // SAFETY: a frame with a flag lies in the window.
                new Span<byte>(HostBase + ((i - FirstFrame) << PageShift), PageSize).Clear();
            }

            ChangeFlags(i, FrameFlags.Ram | also, FrameFlags.Stale);
            _log?.Note(i);
        }
    }

    /// <summary>
    /// Fixes the content, so that copies of the domain may have it, and goes on with pages that are copied when they are written (<see cref="MemoryFile.Freeze"/>).
    /// Nobody writes meanwhile.
    /// </summary>
    /// <exception cref="IOException">The host refused; nothing has changed.</exception>
    public FrozenMemory Freeze() => _file.Freeze();

    /// <summary>
    /// Takes the content of another domain's memory, which was frozen, instead of its own, copied when it is written. Which frames are memory does not change.
    /// </summary>
    /// <param name="memory">Is this object's.</param>
    /// <exception cref="InvalidDataException">It is of a window of another size.</exception>
    /// <exception cref="IOException">The host refused.</exception>
    public void Adopt(FrozenMemory memory)
    {
        _file.Adopt(memory);
        foreach (ref byte flags in new Span<byte>(FlagsBase, checked((int)FrameCount)))
        {
            flags |= (flags & (byte)FrameFlags.Ram) == 0 ? (byte)FrameFlags.Stale : (byte)0;
        }
    }

    /// <summary>Makes a frame a hole, drops its content and gives the page back to the host.</summary>
    public void RemoveRam(ulong frame) => RemoveRam(frame, 1);

    /// <summary>As <see cref="RemoveRam(ulong)"/>, for a run of frames with one call of the host.</summary>
    public void RemoveRam(ulong frame, ulong count)
    {
        for (ulong i = 0; i < count; i++)
        {
            ChangeFlags(frame + i, FrameFlags.None, FrameFlags.Ram | FrameFlags.ReadOnly | FrameFlags.Referenced);
        }

        bool isStale = !_file.Discard((long)(frame - FirstFrame) << PageShift, (long)count << PageShift);
        for (ulong i = 0; i < count; i++)
        {
            if (isStale)
            {
                ChangeFlags(frame + i, FrameFlags.Stale, FrameFlags.None);
            }

            if ((FlagsOf(frame + i) & FrameFlags.Code) != 0)
            {
                CodeWatcher?.CodeWritten((frame + i) << PageShift, PageSize);
            }
        }
    }

    /// <summary>Gives a frame's page back to the host; it reads as zero afterwards.</summary>
    public void Clear(ulong frame)
    {
        if (TryGetHost(frame << PageShift, PageSize, out byte* host))
        {
            new Span<byte>(host, PageSize).Clear();
            AnnounceWrite(frame << PageShift, PageSize);
        }
    }

    /// <summary>The frames that are memory and hold anything but zeros, in ascending order. Looking at the others would make the host give them pages.</summary>
    public IEnumerable<ulong> FramesWithContent()
    {
        foreach ((long start, long end) in _file.FindContent())
        {
            for (ulong index = (ulong)start >> PageShift; index < (ulong)end >> PageShift; index++)
            {
                ulong frame = FirstFrame + index;
                if (HasContent(frame))
                {
                    yield return frame;
                }
            }
        }
    }

    private bool HasContent(ulong frame) =>
        TryGetHost(frame << PageShift, PageSize, out byte* host) && new ReadOnlySpan<byte>(host, PageSize).ContainsAnyExcept((byte)0);

    /// <summary>Host address of <paramref name="length"/> bytes that lie in one page of memory.</summary>
    /// <returns>False when the range crosses a page or is not memory.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetHost(ulong physical, int length, out byte* host)
    {
        ulong index = (physical >> PageShift) - FirstFrame;
        if (index >= FrameCount
            || (FlagsBase[index] & (byte)FrameFlags.Ram) == 0
            || (uint)length > PageSize - (uint)(physical & (PageSize - 1)))
        {
            host = null;
            return false;
        }

        host = HostBase + ((index << PageShift) | (physical & (PageSize - 1)));
        return true;
    }

    /// <summary>Copies bytes out; the range may cross pages.</summary>
    /// <returns>False, with the destination's content unspecified, when a byte is not memory.</returns>
    public bool TryRead(ulong physical, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int chunk = Math.Min(destination.Length, PageSize - (int)(physical & (PageSize - 1)));
            if (!TryGetHost(physical, chunk, out byte* host))
            {
                return false;
            }

            // SAFETY: TryGetHost checked chunk bytes.
            new ReadOnlySpan<byte>(host, chunk).CopyTo(destination);
            destination = destination[chunk..];
            physical += (ulong)chunk;
        }

        return true;
    }

    /// <summary>Copies bytes in; the range may cross pages. Ignores <see cref="FrameFlags.ReadOnly"/>: that binds the guest, not its host.</summary>
    /// <returns>False, possibly after a partial write, when a byte is not memory.</returns>
    public bool TryWrite(ulong physical, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int chunk = Math.Min(source.Length, PageSize - (int)(physical & (PageSize - 1)));
            if (!TryGetHost(physical, chunk, out byte* host))
            {
                return false;
            }

            // SAFETY: TryGetHost checked chunk bytes.
            source[..chunk].CopyTo(new Span<byte>(host, chunk));
            AnnounceWrite(physical, chunk);
            source = source[chunk..];
            physical += (ulong)chunk;
        }

        return true;
    }

    /// <summary>Reads a naturally aligned 64-bit word in one access, as another vCPU may be writing it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryReadUInt64(ulong physical, out ulong value)
    {
        if ((physical & 7) == 0 && TryGetHost(physical, 8, out byte* host))
        {
            value = Volatile.Read(ref *(ulong*)host);
            return true;
        }

        value = 0;
        return false;
    }

    /// <summary>Writes a naturally aligned 64-bit word in one access.</summary>
    public bool TryWriteUInt64(ulong physical, ulong value)
    {
        if ((physical & 7) == 0 && TryGetHost(physical, 8, out byte* host))
        {
            Volatile.Write(ref *(ulong*)host, value);
            AnnounceWrite(physical, 8);
            return true;
        }

        return false;
    }

    /// <summary>Compares and exchanges a naturally aligned 64-bit word.</summary>
    /// <param name="seen">The word found; equal to <paramref name="expected"/> when the exchange was done.</param>
    /// <returns>False when the address is not aligned memory.</returns>
    public bool TryCompareExchange(ulong physical, ulong value, ulong expected, out ulong seen)
    {
        if ((physical & 7) == 0 && TryGetHost(physical, 8, out byte* host))
        {
            seen = Interlocked.CompareExchange(ref *(ulong*)host, value, expected);
            AnnounceWrite(physical, 8);
            return true;
        }

        seen = 0;
        return false;
    }

    /// <summary>A reference to an aligned value inside one page, for the hypervisor's own atomic access to shared pages.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not aligned, or not memory.</exception>
    public ref T Shared<T>(ulong physical)
        where T : unmanaged
    {
        if (physical % (ulong)sizeof(T) != 0 || !TryGetHost(physical, sizeof(T), out byte* host))
        {
            throw new ArgumentOutOfRangeException(nameof(physical), $"{physical:x} is no aligned memory");
        }

        ulong frame = physical >> PageShift;
        if ((FlagsBase[frame - FirstFrame] & (byte)FrameFlags.Referenced) == 0)
        {
            ChangeFlags(frame, FrameFlags.Referenced, FrameFlags.None);
        }

        return ref *(T*)host;
    }

    /// <summary>The bytes of one frame of memory; the guest may change them at any time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The frame is not memory.</exception>
    public Span<byte> FrameSpan(ulong frame) =>
        TryGetHost(frame << PageShift, PageSize, out byte* host)
            ? new Span<byte>(host, PageSize)
            : throw new ArgumentOutOfRangeException(nameof(frame), $"frame {frame:x} is no memory");

    /// <summary>
    /// The bytes of one frame of memory for asynchronous input and output. Whoever takes it keeps the frame from leaving the domain, and this object from being
    /// disposed, until nothing uses the bytes any more; writes are to be announced (<see cref="AnnounceWrite"/>).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The frame is not memory.</exception>
    public Memory<byte> FrameMemory(ulong frame) =>
        TryGetHost(frame << PageShift, PageSize, out byte* host)
            ? new FrameBytes(host).Memory
            : throw new ArgumentOutOfRangeException(nameof(frame), $"frame {frame:x} is no memory");

    /// <summary>To be called after a write through a host pointer: tells the engine when code changed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AnnounceWrite(ulong physical, int length)
    {
        // The store must be visible before the flag is read, as an engine sets the flag and then reads the bytes.
        Interlocked.MemoryBarrier();
        if ((FlagsBase[(physical >> PageShift) - FirstFrame] & (byte)FrameFlags.Code) != 0)
        {
            CodeWatcher?.CodeWritten(physical, length);
        }

        _log?.Note(physical >> PageShift);
    }

    /// <summary>
    /// To be called by an engine before it lets a guest write to a frame, by an entry of a look-aside table or otherwise. What was let before a
    /// <see cref="DirtyLog.Take"/> must have been dropped, or written, before the frames are looked at.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void NoteGuestWrite(ulong frame) => _log?.Note(frame);

    /// <summary>
    /// Begins to note which frames change. Whoever began has every vCPU drop its translations for writing before anything that the log says is believed.
    /// </summary>
    /// <exception cref="InvalidOperationException">There is a log already.</exception>
    public DirtyLog BeginLog()
    {
        DirtyLog log = new(FirstFrame, FrameCount);
        if (Interlocked.CompareExchange(ref _log, log, null) is not null)
        {
            throw new InvalidOperationException("the memory has a log already");
        }

        return log;
    }

    /// <summary>Ends a log, if it is the present one.</summary>
    public void EndLog(DirtyLog log) => Interlocked.CompareExchange(ref _log, null, log);

    /// <summary>The frames to which the host holds references, in ascending order: whether they changed is not known.</summary>
    public IEnumerable<ulong> ReferencedFrames()
    {
        for (ulong frame = FirstFrame; frame < FirstFrame + FrameCount; frame++)
        {
            if ((FlagsOf(frame) & FrameFlags.Referenced) != 0)
            {
                yield return frame;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _file.Dispose();
        _flags.Dispose();
    }
}
