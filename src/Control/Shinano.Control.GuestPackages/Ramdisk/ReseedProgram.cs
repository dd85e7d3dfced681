using System.Buffers.Binary;

namespace Shinano.Control.GuestPackages.Ramdisk;

/// <summary>
/// A program for guests without an interpreter that knows ioctl(2): mixes up to 64 bytes of its input into the kernel's generator of random numbers and has that take
/// its next numbers from them at once. Ends with 1 when it could not.
/// </summary>
/// <remarks>Source: elf(5); linux/random.h: RNDRESEEDCRNG; x86-64's system calls.</remarks>
internal static class ReseedProgram
{
    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const ulong Base = 0x400000;

    private static ReadOnlySpan<byte> Code =>
    [
        0x48, 0x83, 0xEC, 0x40, // sub rsp, 64
        0x31, 0xC0, // xor eax, eax: read
        0x31, 0xFF, // xor edi, edi
        0x48, 0x89, 0xE6, // mov rsi, rsp
        0xBA, 0x40, 0x00, 0x00, 0x00, // mov edx, 64
        0x0F, 0x05, // syscall
        0x48, 0x85, 0xC0, // test rax, rax
        0x7E, 0x44, // jle fail
        0x49, 0x89, 0xC4, // mov r12, rax
        0xB8, 0x02, 0x00, 0x00, 0x00, // mov eax, 2: open
        0x48, 0x8D, 0x3D, 0x41, 0x00, 0x00, 0x00, // lea rdi, [rip + path]
        0xBE, 0x01, 0x00, 0x00, 0x00, // mov esi, 1: O_WRONLY
        0x0F, 0x05, // syscall
        0x85, 0xC0, // test eax, eax
        0x78, 0x2A, // js fail
        0x89, 0xC7, // mov edi, eax
        0xB8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1: write
        0x48, 0x89, 0xE6, // mov rsi, rsp
        0x4C, 0x89, 0xE2, // mov rdx, r12
        0x0F, 0x05, // syscall
        0xB8, 0x10, 0x00, 0x00, 0x00, // mov eax, 16: ioctl
        0xBE, 0x07, 0x52, 0x00, 0x00, // mov esi, RNDRESEEDCRNG
        0x31, 0xD2, // xor edx, edx
        0x0F, 0x05, // syscall
        0x85, 0xC0, // test eax, eax
        0x78, 0x09, // js fail
        0x31, 0xFF, // xor edi, edi
        0xB8, 0x3C, 0x00, 0x00, 0x00, // mov eax, 60: exit
        0x0F, 0x05, // syscall
        0xBF, 0x01, 0x00, 0x00, 0x00, // fail: mov edi, 1
        0xB8, 0x3C, 0x00, 0x00, 0x00, // mov eax, 60
        0x0F, 0x05, // syscall
    ];

    /// <summary>The statically linked program.</summary>
    public static byte[] Build()
    {
        byte[] file = [.. new byte[HeaderSize + ProgramHeaderSize], .. Code, .. "/dev/urandom\0"u8];
        Span<byte> header = file;
        ((ReadOnlySpan<byte>)[0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1]).CopyTo(header); // 64-bit, little-endian, version 1
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], Base + HeaderSize + ProgramHeaderSize); // e_entry
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], HeaderSize); // e_phoff
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 1); // e_phnum
        Span<byte> segment = header[HeaderSize..];
        BinaryPrimitives.WriteUInt32LittleEndian(segment, 1); // PT_LOAD
        BinaryPrimitives.WriteUInt32LittleEndian(segment[4..], 5); // PF_R, PF_X
        BinaryPrimitives.WriteUInt64LittleEndian(segment[16..], Base);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[24..], Base);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[32..], (ulong)file.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[40..], (ulong)file.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(segment[48..], 4096);
        return file;
    }
}
