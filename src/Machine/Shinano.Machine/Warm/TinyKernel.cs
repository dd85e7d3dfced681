using System.Buffers.Binary;

namespace Shinano.Machine.Warm;

/// <summary>A kernel that runs <see cref="PracticeCode"/> and powers its domain off. For a domain that nobody sees.</summary>
/// <remarks>Sources: elf(5); public/elfnote.h; public/sched.h: SCHEDOP_shutdown.</remarks>
internal static class TinyKernel
{
    private const ulong Base = 0xFFFFFFFF80000000;
    private const ulong Load = 0x1000;
    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const int NotesAt = HeaderSize + (2 * ProgramHeaderSize);

    private static ReadOnlySpan<byte> PowerOff =>
    [
        0xB8, 0x1D, 0x00, 0x00, 0x00, // mov eax, 29: HYPERVISOR_sched_op
        0xBF, 0x02, 0x00, 0x00, 0x00, // mov edi, 2: SCHEDOP_shutdown
        0x48, 0x8D, 0x35, 0x04, 0x00, 0x00, 0x00, // lea rsi, [rip + reason]
        0x0F, 0x05, // syscall
        0xEB, 0xFE, // jmp to itself
        0x00, 0x00, 0x00, 0x00, // reason: SHUTDOWN_poweroff
    ];

    /// <summary>The file.</summary>
    public static byte[] Build()
    {
        byte[] notes = [.. Note(5, "xen-3.0\0"u8), .. Note(6, "tiny\0"u8), .. Note(8, "generic\0"u8), .. Number(3, Base), .. Number(1, Base + Load)];
        byte[] code = PracticeCode.Build(PowerOff);
        byte[] file = [.. new byte[NotesAt], .. notes, .. code];
        Span<byte> header = file;
        ((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1]).CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], Base + Load);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 2);
        Segment(header[HeaderSize..], type: 1, flags: 7, NotesAt + notes.Length, code.Length, PracticeCode.MemorySize(code.Length)); // PT_LOAD
        Segment(header[(HeaderSize + ProgramHeaderSize)..], type: 4, flags: 4, NotesAt, notes.Length, notes.Length); // PT_NOTE
        return file;
    }

    private static void Segment(Span<byte> header, uint type, uint flags, int offset, int length, int memoryLength)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], Base + Load);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], Load);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], (ulong)length);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], (ulong)memoryLength);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], 1);
    }

    private static byte[] Number(uint type, ulong value)
    {
        byte[] bytes = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return Note(type, bytes);
    }

    private static byte[] Note(uint type, ReadOnlySpan<byte> value)
    {
        byte[] note = new byte[16 + ((value.Length + 3) & ~3)];
        BinaryPrimitives.WriteUInt32LittleEndian(note, 4);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(4), (uint)value.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(8), type);
        "Xen\0"u8.CopyTo(note.AsSpan(12));
        value.CopyTo(note.AsSpan(16));
        return note;
    }
}
