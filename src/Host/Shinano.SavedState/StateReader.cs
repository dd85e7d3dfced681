using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Shinano.SavedState;

/// <summary>Takes a section apart that <see cref="StateWriter"/> put together; its content is hostile. Not thread-safe.</summary>
/// <remarks>Every member throws <see cref="SavedStateException"/> with <see cref="SavedStateError.Senseless"/> when there is less than it asks for.</remarks>
public sealed class StateReader(ReadOnlyMemory<byte> bytes)
{
    private ReadOnlyMemory<byte> _rest = bytes;

    /// <summary>Reads a number in its own size.</summary>
    public T Get<T>()
        where T : unmanaged => MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>()).Span);

    /// <summary>Reads a truth value: 0 or 1, and nothing else.</summary>
    public bool GetFlag() => Get<byte>() switch
    {
        0 => false,
        1 => true,
        byte other => throw Senseless($"{other} is no truth value"),
    };

    /// <summary>Reads a number of at most <paramref name="maximum"/>.</summary>
    public uint GetCount(uint maximum) => Get<uint>() is var count && count <= maximum ? count : throw Senseless($"{count} where at most {maximum} can be");

    /// <summary>Reads bytes with their length before them.</summary>
    public ReadOnlyMemory<byte> GetBytes(uint maximum) => Take((int)GetCount(Math.Min(maximum, int.MaxValue)));

    /// <summary>Reads bytes of a known length.</summary>
    public ReadOnlyMemory<byte> Take(int length)
    {
        if (length > _rest.Length)
        {
            throw Senseless("a section is shorter than its content");
        }

        ReadOnlyMemory<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }

    /// <summary>Reads the letters that <see cref="StateWriter.Mark"/> wrote.</summary>
    public void Expect(ReadOnlySpan<byte> letters)
    {
        if (!Take(letters.Length).Span.SequenceEqual(letters))
        {
            throw Senseless($"'{Encoding.ASCII.GetString(letters)}' is not where it should be");
        }
    }

    /// <summary>Says that all was read.</summary>
    public void ExpectEnd()
    {
        if (!_rest.IsEmpty)
        {
            throw Senseless($"{_rest.Length} bytes too many in a section");
        }
    }

    /// <summary>For readers of what was taken: the content cannot be a domain's.</summary>
    public static SavedStateException Senseless(string why) => new(SavedStateError.Senseless, why);

    /// <summary>As <see cref="Senseless(string)"/>, unless the condition holds.</summary>
    public static void Demand(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw Senseless(otherwise);
        }
    }

    /// <summary>The same; the text is put together only when it is needed.</summary>
    public static void Demand(bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] ref SenselessMessage otherwise)
    {
        if (!condition)
        {
            throw Senseless(otherwise.ToStringAndClear());
        }
    }
}
