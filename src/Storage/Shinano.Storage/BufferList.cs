using System.Runtime.InteropServices;

namespace Shinano.Storage;

/// <summary>Bytes that lie in several pieces of memory, in their order: what one call of an image reads into or writes from.</summary>
/// <remarks>The pieces may be a guest's pages, whose bytes the guest changes meanwhile: an image looks at no byte twice.</remarks>
public readonly struct BufferList
{
    private readonly Memory<byte>[]? _pieces;
    private readonly Memory<byte> _single;
    private readonly int _start;

    /// <summary>One piece.</summary>
    public BufferList(Memory<byte> single)
    {
        _single = single;
        Length = single.Length;
    }

    /// <summary>Several pieces, all of each.</summary>
    /// <param name="pieces">Not changed, by anybody, as long as the list is used.</param>
    public BufferList(Memory<byte>[] pieces)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        _pieces = pieces;
        int length = 0;
        foreach (Memory<byte> piece in pieces)
        {
            length = checked(length + piece.Length);
        }

        Length = length;
    }

    private BufferList(Memory<byte>[]? pieces, Memory<byte> single, int start, int length) => (_pieces, _single, _start, Length) = (pieces, single, start, length);

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>There are no bytes.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>A piece that is written from and never changed.</summary>
    public static BufferList Of(ReadOnlyMemory<byte> source) => new(MemoryMarshal.AsMemory(source));

    /// <summary>What follows a number of bytes.</summary>
    public BufferList Slice(int start) => Slice(start, Length - start);

    /// <summary>A part.</summary>
    public BufferList Slice(int start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)start, (uint)Length, nameof(start));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)(Length - start), nameof(length));
        return _pieces is null ? new(_single.Slice(start, length)) : new(_pieces, default, _start + start, length);
    }

    /// <summary>Makes all bytes zero.</summary>
    public void Clear()
    {
        foreach (Memory<byte> piece in this)
        {
            piece.Span.Clear();
        }
    }

    /// <summary>Copies all bytes out.</summary>
    public void CopyTo(Span<byte> destination)
    {
        foreach (Memory<byte> piece in this)
        {
            piece.Span.CopyTo(destination);
            destination = destination[piece.Length..];
        }
    }

    /// <summary>Copies bytes in, as many as there is room for.</summary>
    public void CopyFrom(ReadOnlySpan<byte> source)
    {
        foreach (Memory<byte> piece in this)
        {
            source[..piece.Length].CopyTo(piece.Span);
            source = source[piece.Length..];
        }
    }

    /// <summary>The pieces that are not empty.</summary>
    public Enumerator GetEnumerator() => new(this);

    /// <summary>The most pieces that the enumerator may give.</summary>
    internal int MostPieces => _pieces?.Length ?? 1;

    /// <summary>Walks the pieces.</summary>
    public struct Enumerator
    {
        private readonly BufferList _list;
        private int _next;
        private int _skip;
        private int _left;

        internal Enumerator(BufferList list) => (_list, _skip, _left) = (list, list._start, list.Length);

        /// <summary>The present piece, cut to the list's ends.</summary>
        public Memory<byte> Current { get; private set; }

        /// <summary>Goes to the next piece.</summary>
        public bool MoveNext()
        {
            if (_left == 0)
            {
                return false;
            }

            Memory<byte> piece = _list._single;
            if (_list._pieces is { } pieces)
            {
                for (piece = pieces[_next++]; piece.Length <= _skip; piece = pieces[_next++])
                {
                    _skip -= piece.Length;
                }
            }

            Current = piece.Slice(_skip, Math.Min(piece.Length - _skip, _left));
            (_skip, _left) = (0, _left - Current.Length);
            return true;
        }
    }
}
