using System.Globalization;

namespace Shinano.Hypervisor.Images.Notes;

/// <summary>
/// The __xen_guest section of kernels from before the ELF notes: "NAME=VALUE,NAME,NAME=VALUE". <c>public/elfnote.h</c> names
/// the field that each note replaces ("LEGACY: ...").
/// </summary>
internal static class LegacyGuestSection
{
    private const int PageShift = 12;

    public static XenElfNotes Parse(string text)
    {
        var notes = new XenElfNotes { Source = XenNotesSource.LegacySection };
        foreach (var field in text.Split(','))
        {
            var equals = field.IndexOf('=');
            var name = equals < 0 ? field : field[..equals];
            var value = equals < 0 ? string.Empty : field[(equals + 1)..];
            notes = name switch
            {
                "LOADER" => notes with { Loader = value },
                "GUEST_OS" => notes with { GuestOs = value },
                "GUEST_VER" => notes with { GuestVersion = value },
                "XEN_VER" => notes with { XenVersion = value },
                "PAE" => notes with { PaeMode = value },
                "BSD_SYMTAB" => notes with { BsdSymbolTable = true },
                "VIRT_BASE" => notes with { VirtualBase = Number(value) },
                "VIRT_ENTRY" => notes with { Entry = Number(value) },
                "ELF_PADDR_OFFSET" => notes with { PhysicalOffset = Number(value) },
                "HYPERCALL_PAGE" => notes with { HypercallPage = Number(value) << PageShift },
                "FEATURES" => XenNoteParser.WithFeatures(notes, value),
                _ => notes,
            };
        }

        // The legacy value is a page number counted from VIRT_BASE, wherever VIRT_BASE stands in the string.
        return notes.HypercallPage is { } page && notes.VirtualBase is { } virtualBase
            ? notes with { HypercallPage = unchecked(page + virtualBase) }
            : notes;
    }

    /// <summary>strtoull(value, NULL, 0): hexadecimal after 0x, octal after 0, else decimal; what does not parse is 0.</summary>
    private static ulong Number(string value)
    {
        value = value.Trim();
        if (value.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            return ulong.TryParse(value.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var hex) ? hex : 0;
        }

        if (value.Length > 1 && value[0] == '0')
        {
            return Octal(value);
        }

        return ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }

    private static ulong Octal(string value)
    {
        ulong number = 0;
        foreach (var digit in value)
        {
            if (digit is < '0' or > '7' || number >> 61 != 0)
            {
                return 0;
            }

            number = (number << 3) | (uint)(digit - '0');
        }

        return number;
    }
}
