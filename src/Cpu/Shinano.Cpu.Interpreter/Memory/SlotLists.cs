using System.Runtime.CompilerServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>A <see cref="SlotList"/> for each half of each context's addresses.</summary>
[InlineArray(Halves * Core.Contexts)]
internal struct SlotLists
{
    /// <summary>Of a context's addresses, by bit 63.</summary>
    public const int Halves = 2;

    private SlotList _first;

    /// <summary>The list of a context's half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref SlotList Of(ref SlotLists lists, int context, int half) => ref lists[(Halves * context) + half];

    /// <summary>Bit 63.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HalfOf(ulong linear) => (int)(linear >> 63);
}
