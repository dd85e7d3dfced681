using System.Buffers.Binary;
using System.Text;

namespace Shinano.Hypervisor.Building;

/// <summary>Fields of struct start_info by offset, little-endian. Source: public/xen.h.</summary>
internal static class StartInfo
{
    /// <summary>SIF_MOD_START_PFN: mod_start is a frame number.</summary>
    public const uint ModuleStartIsPfn = 1 << 3;

    private const int CommandLineOffset = 128;
    private const int CommandLineLimit = 1024;

    public static void Write(
        Span<byte> page,
        ulong pages,
        ulong sharedInfo,
        uint flags,
        (ulong Frame, uint Port) store,
        (ulong Frame, uint Port) console,
        (ulong Address, ulong Frames) tables,
        ulong frameList,
        (ulong Start, ulong Length) module,
        (ulong First, ulong Frames) listFrames,
        string commandLine)
    {
        page.Clear();
        "xen-3.0-x86_64"u8.CopyTo(page);
        Put(page, 32, pages);
        Put(page, 40, sharedInfo);
        BinaryPrimitives.WriteUInt32LittleEndian(page[48..], flags);
        Put(page, 56, store.Frame);
        BinaryPrimitives.WriteUInt32LittleEndian(page[64..], store.Port);
        Put(page, 72, console.Frame);
        BinaryPrimitives.WriteUInt32LittleEndian(page[80..], console.Port);
        Put(page, 88, tables.Address);
        Put(page, 96, tables.Frames);
        Put(page, 104, frameList);
        Put(page, 112, module.Start);
        Put(page, 120, module.Length);
        byte[] text = Encoding.UTF8.GetBytes(commandLine);
        text.AsSpan(0, Math.Min(text.Length, CommandLineLimit - 1)).CopyTo(page[CommandLineOffset..]);
        Put(page, CommandLineOffset + CommandLineLimit, listFrames.First);
        Put(page, CommandLineOffset + CommandLineLimit + 8, listFrames.Frames);
    }

    private static void Put(Span<byte> page, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(page[offset..], value);
}
