using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// Where the translations that lead to a host page are: the slot, if it is one. What is said of a page may be outdated, so the slot is to be looked at, but none is
/// missing. Pages that are a multiple of 256 MiB apart count as one.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PageSlots
{
    /// <summary>More than one slot.</summary>
    public const int Many = ushort.MaxValue;

    private const int Pages = 1 << 16;

    /// <summary>A slot plus one, 0 for none, or <see cref="Many"/>.</summary>
    private fixed ushort _slots[Pages];

    /// <summary>The place of a page in here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int KeyOf(byte* hostPage) => (int)((nuint)hostPage >> 12) & (Pages - 1);

    /// <summary>The slot of a key's pages; negative for none, or <see cref="Many"/>.</summary>
    public readonly int this[int key] => _slots[key] == Many ? Many : _slots[key] - 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Set(int key, int slot) => _slots[key] = (ushort)(slot == Many ? Many : slot + 1);

    public void Remove(int key) => _slots[key] = 0;

    public void Clear() => Unsafe.InitBlock(ref Unsafe.As<ushort, byte>(ref _slots[0]), 0, Pages * sizeof(ushort));
}
