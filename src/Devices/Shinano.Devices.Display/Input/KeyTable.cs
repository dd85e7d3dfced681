using System.Collections.Frozen;

namespace Shinano.Devices.Display.Input;

/// <summary>
/// From what viewers say of keys to Linux's codes. By meaning (X11's keysymdef.h) it takes a US keyboard, as the guest's own keymap cannot be known; by place
/// (rfbproto: QEMU Extended Key Event) it is exact for every keyboard. Codes: Linux uapi: input-event-codes.h.
/// </summary>
public static class KeyTable
{
    public const int LeftShift = 42;
    public const int RightShift = 54;
    public const int CapsLock = 58;

    /// <summary>Scan codes behind 0xe0, which come with bit 7 set. Lower ones up to 0x58 are Linux's codes themselves.</summary>
    private static readonly FrozenDictionary<uint, int> Prefixed = new (uint ScanCode, int Code)[]
    {
        (0x1c, 96), (0x1d, 97), (0x35, 98), (0x37, 99), (0x38, 100), (0x46, 119), (0x47, 102), (0x48, 103), (0x49, 104), (0x4b, 105),
        (0x4d, 106), (0x4f, 107), (0x50, 108), (0x51, 109), (0x52, 110), (0x53, 111), (0x5b, 125), (0x5c, 126), (0x5d, 127), (0x20, 113),
        (0x2e, 114), (0x30, 115), (0x5e, 116), (0x5f, 142), (0x63, 143), (0x45, 69),
    }.ToFrozenDictionary(key => key.ScanCode, key => key.Code);

    private static readonly FrozenDictionary<uint, (int Code, bool Shift)> Symbols = BuildSymbols();

    /// <summary>The code for a keysym, and whether a US keyboard has it with shift; 0 when there is none.</summary>
    public static int OfSymbol(uint symbol, out bool shift)
    {
        (int code, shift) = Symbols.GetValueOrDefault(symbol);
        return code;
    }

    /// <summary>The code for a scan code; 0 when there is none.</summary>
    public static int OfScanCode(uint scanCode) => scanCode switch
    {
        >= 1 and <= 0x53 or 0x56 or 0x57 or 0x58 => (int)scanCode,
        0x54 => 99,
        0x59 => 117,
        0x70 => 93,
        0x73 => 89,
        0x79 => 92,
        0x7b => 94,
        0x7d => 124,
        >= 0x80 and <= 0xff => Prefixed.GetValueOrDefault(scanCode & 0x7f),
        _ => 0,
    };

    private static FrozenDictionary<uint, (int Code, bool Shift)> BuildSymbols()
    {
        Dictionary<uint, (int, bool)> table = [];

        // Rows of a US keyboard: plain, shifted, code of the first key.
        Row("1234567890-=", "!@#$%^&*()_+", 2);
        Row("qwertyuiop[]", "QWERTYUIOP{}", 16);
        Row("asdfghjkl;'`", "ASDFGHJKL:\"~", 30);
        Row("\\zxcvbnm,./", "|ZXCVBNM<>?", 43);
        table[' '] = (57, false);

        // Function keys: XK_F1 to XK_F10, F11, F12, F13 to F24.
        Run(0xffbe, 10, 59);
        Run(0xffc8, 2, 87);
        Run(0xffca, 12, 183);

        // BackSpace, Tab, Linefeed, Return, Escape, Pause, Scroll_Lock, Sys_Req, Delete.
        Set((0xff08, 14), (0xff09, 15), (0xff0a, 28), (0xff0d, 28), (0xff1b, 1), (0xff13, 119), (0xff14, 70), (0xff15, 99), (0xffff, 111), (0xfe20, 15));

        // Home, Left, Up, Right, Down, Prior, Next, End, Print, Insert, Menu, Num_Lock.
        Set((0xff50, 102), (0xff51, 105), (0xff52, 103), (0xff53, 106), (0xff54, 108), (0xff55, 104), (0xff56, 109), (0xff57, 107), (0xff61, 99));
        Set((0xff63, 110), (0xff67, 127), (0xff7f, 69));

        // Shift, Control, Caps_Lock, Meta, Alt, Super, ISO_Level3_Shift, Mode_switch.
        Set((0xffe1, LeftShift), (0xffe2, RightShift), (0xffe3, 29), (0xffe4, 97), (0xffe5, CapsLock), (0xffe7, 125), (0xffe8, 126), (0xffe9, 56), (0xffea, 100));
        Set((0xffeb, 125), (0xffec, 126), (0xfe03, 100), (0xff7e, 100));

        // The keypad: Enter, multiply, add, separator, subtract, decimal, divide; digits; what they are without Num_Lock.
        Set((0xff8d, 96), (0xffaa, 55), (0xffab, 78), (0xffac, 83), (0xffad, 74), (0xffae, 83), (0xffaf, 98), (0xffbd, 117));
        Set((0xffb0, 82), (0xffb1, 79), (0xffb2, 80), (0xffb3, 81), (0xffb4, 75), (0xffb5, 76), (0xffb6, 77), (0xffb7, 71), (0xffb8, 72), (0xffb9, 73));
        Set((0xff95, 71), (0xff96, 75), (0xff97, 72), (0xff98, 77), (0xff99, 80), (0xff9a, 73), (0xff9b, 81), (0xff9c, 79), (0xff9d, 76), (0xff9e, 82), (0xff9f, 83));
        return table.ToFrozenDictionary();

        void Row(string plain, string shifted, int first)
        {
            for (int i = 0; i < plain.Length; i++)
            {
                table[plain[i]] = (first + i, false);
                table[shifted[i]] = (first + i, true);
            }
        }

        void Run(uint symbol, int count, int first)
        {
            for (int i = 0; i < count; i++)
            {
                table[symbol + (uint)i] = (first + i, false);
            }
        }

        void Set(params ReadOnlySpan<(int Symbol, int Code)> keys)
        {
            foreach ((int symbol, int code) in keys)
            {
                table[(uint)symbol] = (code, false);
            }
        }
    }
}
