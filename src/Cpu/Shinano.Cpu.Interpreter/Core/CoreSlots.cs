using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Slot numbers (8-byte words of <see cref="Core"/>) of what an address can be made of besides general registers, whose slots are their numbers.</summary>
internal static unsafe class CoreSlots
{
    /// <summary>
    /// Byte offset of <see cref="Core.ReadTlb"/>. A constant, because the address of a fixed buffer costs a null check in every access; checked below.
    /// </summary>
    public const int ReadTlbOffset = 0x1000;

    /// <summary>Byte offset of <see cref="Core.WriteTlb"/>.</summary>
    public const int WriteTlbOffset = ReadTlbOffset + (16 * Core.TlbEntries);

    /// <summary>Byte offset of <see cref="Core.Fetch"/>.</summary>
    public const int FetchOffset = WriteTlbOffset + (16 * Core.TlbEntries);

    static CoreSlots()
    {
        // SAFETY: only addresses of fields are taken.
        Core* c = (Core*)NativeMemory.Alloc((nuint)sizeof(Core));
        Zero = SlotOf(c, &c->Zero);
        Page = SlotOf(c, &c->PageLinear);
        Fs = SlotOf(c, &c->Cpu.Fs.Base);
        Gs = SlotOf(c, &c->Cpu.Gs.Base);
        bool asExpected = (byte*)c->ReadTlb - (byte*)c == ReadTlbOffset
            && (byte*)c->WriteTlb - (byte*)c == WriteTlbOffset
            && (byte*)c->Fetch - (byte*)c == FetchOffset;
        NativeMemory.Free(c);
        if (!asExpected)
        {
            throw new InvalidOperationException("the look-aside tables are not where the handlers expect them");
        }
    }

    /// <summary>Slot of <see cref="Core.Zero"/>.</summary>
    public static byte Zero { get; }

    /// <summary>Slot of <see cref="Core.PageLinear"/>.</summary>
    public static byte Page { get; }

    /// <summary>Slot of the base of FS.</summary>
    public static byte Fs { get; }

    /// <summary>Slot of the base of GS.</summary>
    public static byte Gs { get; }

    private static byte SlotOf(Core* c, ulong* field) => checked((byte)(((byte*)field - (byte*)c) / 8));
}
