using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// Slots of a table that may hold translations of one half of a context's addresses, each once: dropping them costs what was used, not the table's size. A slot
/// whose translation was replaced by one of the other half is in both lists.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SlotList
{
    private fixed ushort _slots[Core.TlbEntries];
    private fixed byte _isListed[Core.TlbEntries];

    public int Count { get; private set; }

    public readonly int this[int index] => _slots[index];

    /// <summary>Lists a slot unless it is listed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(int slot)
    {
        if (_isListed[slot] == 0)
        {
            _isListed[slot] = 1;
            _slots[Count++] = (ushort)slot;
        }
    }

    /// <summary>Empties the list. Each of its slots is then to be read with <see cref="Take"/>, in order if some of them are added again meanwhile.</summary>
    /// <returns>How many there were.</returns>
    public int TakeAll()
    {
        int taken = Count;
        Count = 0;
        return taken;
    }

    /// <summary>Reads a slot that <see cref="TakeAll"/> took; it can be listed again.</summary>
    public int Take(int index)
    {
        int slot = _slots[index];
        _isListed[slot] = 0;
        return slot;
    }
}
