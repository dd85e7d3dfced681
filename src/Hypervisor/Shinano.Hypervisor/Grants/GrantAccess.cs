using Shinano.Memory;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// A back end's use of granted memory, from <see cref="GrantTable.TryAccess"/> until it is disposed. The guest sees the use in the entry's flags and cannot
/// take the frame away meanwhile; its bytes it may change at any time.
/// </summary>
public sealed class GrantAccess : IDisposable
{
    private readonly GrantTable _table;
    private readonly uint _reference;
    private int _disposed;

    internal GrantAccess(GrantTable table, uint reference, bool isWritable, ulong address, int length)
    {
        _table = table;
        _reference = reference;
        IsWritable = isWritable;
        Address = address;
        Length = length;
    }

    /// <summary>Whether the use is for writing too.</summary>
    public bool IsWritable { get; }

    /// <summary>Machine address of the first byte that was granted.</summary>
    public ulong Address { get; }

    /// <summary>Bytes that were granted: a page, unless the guest granted a part of one.</summary>
    public int Length { get; }

    /// <summary>Copies bytes out; false when they are not all inside the grant.</summary>
    public bool TryRead(int offset, Span<byte> destination) => IsInside(offset, destination.Length) && Memory.TryRead(Address + (ulong)offset, destination);

    /// <summary>Copies bytes in; false when they are not all inside the grant or it is for reading.</summary>
    public bool TryWrite(int offset, ReadOnlySpan<byte> source) =>
        IsWritable && IsInside(offset, source.Length) && Memory.TryWrite(Address + (ulong)offset, source);

    /// <summary>The bytes that were granted, not to be used after the use has ended. Written ones are to be announced.</summary>
    public Memory<byte> Bytes => Memory.FrameMemory(Address >> GuestMemory.PageShift).Slice((int)(Address & (GuestMemory.PageSize - 1)), Length);

    /// <summary>To be called after bytes were written through <see cref="Bytes"/>.</summary>
    public void Announce(int offset, int length)
    {
        if (length > 0 && IsInside(offset, length))
        {
            Memory.AnnounceWrite(Address + (ulong)offset, length);
        }
    }

    /// <summary>Ends the use. Any thread.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _table.Release(_reference, IsWritable);
        }
    }

    private GuestMemory Memory
    {
        get
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
            return _table.Memory;
        }
    }

    private bool IsInside(int offset, int length) => offset >= 0 && length <= Length && offset <= Length - length;
}
