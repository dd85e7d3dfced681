using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Slot numbers (8-byte words of <see cref="Core"/>) of what an address can be made of besides general registers, whose slots are their numbers.</summary>
internal static unsafe class CoreSlots
{
    static CoreSlots()
    {
        // SAFETY: only addresses of fields are taken.
        Core* c = (Core*)NativeMemory.Alloc((nuint)sizeof(Core));
        Zero = SlotOf(c, &c->Zero);
        Page = SlotOf(c, &c->PageLinear);
        Fs = SlotOf(c, &c->Cpu.Fs.Base);
        Gs = SlotOf(c, &c->Cpu.Gs.Base);
        NativeMemory.Free(c);
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
