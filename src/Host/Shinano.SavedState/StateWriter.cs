using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shinano.SavedState;

/// <summary>Puts numbers and bytes together into a section, little-endian. Not thread-safe.</summary>
public sealed class StateWriter
{
    private readonly ArrayBufferWriter<byte> _bytes = new(4096);

    /// <summary>What was written so far; valid until the next write.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.WrittenMemory;

    /// <summary>Writes a number in its own size; bool as a byte.</summary>
    public void Put<T>(T value)
        where T : unmanaged
    {
        Span<byte> place = _bytes.GetSpan(Unsafe.SizeOf<T>());
        MemoryMarshal.Write(place, in value);
        _bytes.Advance(Unsafe.SizeOf<T>());
    }

    /// <summary>Room for bytes, which the caller fills before the next write.</summary>
    public Span<byte> Reserve(int length)
    {
        Span<byte> place = _bytes.GetSpan(length)[..length];
        _bytes.Advance(length);
        return place;
    }

    /// <summary>Writes a truth value as a byte, 0 or 1.</summary>
    public void PutFlag(bool value) => Put(value ? (byte)1 : (byte)0);

    /// <summary>Writes the number of elements (32) and then each.</summary>
    public void PutAll<T>(IReadOnlyCollection<T> values, Action<StateWriter, T> put)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(put);
        Put((uint)values.Count);
        foreach (T value in values)
        {
            put(this, value);
        }
    }

    /// <summary>Writes the length (32) and then the bytes.</summary>
    public void PutBytes(ReadOnlySpan<byte> bytes)
    {
        Put((uint)bytes.Length);
        _bytes.Write(bytes);
    }

    /// <summary>Writes four letters by which the reader knows that it is where it should be.</summary>
    public void Mark(ReadOnlySpan<byte> letters)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(letters.Length, 4);
        _bytes.Write(letters);
    }
}
