using System.Buffers.Binary;

namespace Shinano.Machine.Warm;

/// <summary>
/// Guest code that makes an engine do what it does most: decode, interpret and translate the common forms of instructions, with jumps, calls and accesses to memory. It is run until it
/// is translated, in so many blocks that .NET has compiled the engine's own methods for good when a domain comes.
/// </summary>
/// <remarks>The forms are those that a boot of Linux has most of. RBX points to data; RBX, RBP, RSP and R12 are left as they are.</remarks>
internal static class PracticeCode
{
    private const int PageSize = 0x1000;
    private const int DataSize = 2 * PageSize;
    private const int Functions = 48;

    /// <summary>More than the executions after which an engine translates.</summary>
    private const int Rounds = 64;

    private static readonly byte[][] Forms =
    [
        [0x48, 0x8B, 0x43, 0x08], // mov rax, [rbx + 8]
        [0x48, 0x89, 0x43, 0x10], // mov [rbx + 16], rax
        [0x85, 0xD2, 0x74, 0x03, 0x48, 0xFF, 0xC0], // test edx, edx; je over; inc rax
        [0xB9, 0x07, 0x00, 0x00, 0x00, 0x8B, 0x44, 0x8B, 0x40], // mov ecx, 7; mov eax, [rbx + rcx * 4 + 64]
        [0x89, 0x93, 0x80, 0x00, 0x00, 0x00], // mov [rbx + 128], edx
        [0xC7, 0x43, 0x0C, 0x05, 0x00, 0x00, 0x00], // mov dword [rbx + 12], 5
        [0x0F, 0xB6, 0x53, 0x01], // movzx edx, byte [rbx + 1]
        [0x48, 0x63, 0x53, 0x04], // movsxd rdx, [rbx + 4]
        [0x48, 0x8D, 0x54, 0x48, 0x03], // lea rdx, [rax + rcx * 2 + 3]
        [0x48, 0x01, 0xD0], // add rax, rdx
        [0x83, 0xE8, 0x05, 0x72, 0x02, 0x31, 0xD2], // sub eax, 5; jb over; xor edx, edx
        [0x48, 0x83, 0x63, 0x18, 0x7F], // and qword [rbx + 24], 127
        [0x48, 0x3B, 0x43, 0x20, 0x77, 0x03, 0x48, 0x89, 0xC2], // cmp rax, [rbx + 32]; ja over; mov rdx, rax
        [0xF6, 0x43, 0x28, 0x10, 0x75, 0x02, 0x89, 0xD0], // test byte [rbx + 40], 16; jne over; mov eax, edx
        [0x48, 0xC1, 0xE2, 0x03, 0xD3, 0xE8], // shl rdx, 3; shr eax, cl
        [0x48, 0x0F, 0xAF, 0xD0], // imul rdx, rax
        [0x45, 0x31, 0xC9, 0x49, 0x89, 0xC2], // xor r9d, r9d; mov r10, rax
        [0x4C, 0x03, 0x5B, 0x28, 0x4C, 0x89, 0x5B, 0x30], // add r11, [rbx + 40]; mov [rbx + 48], r11
        [0x41, 0x55, 0x53, 0x5B, 0x41, 0x5D], // push r13; push rbx; pop rbx; pop r13
        [0x48, 0x89, 0x45, 0xF8, 0x48, 0x8B, 0x55, 0xF8], // mov [rbp - 8], rax; mov rdx, [rbp - 8]
        [0x48, 0x89, 0x44, 0x24, 0x08, 0x48, 0x03, 0x44, 0x24, 0x10], // mov [rsp + 8], rax; add rax, [rsp + 16]
        [0x48, 0x0F, 0xBA, 0xE0, 0x03, 0x0F, 0x95, 0xC2], // bt rax, 3; setne dl
        [0x48, 0x39, 0xD0, 0x48, 0x0F, 0x42, 0xC2], // cmp rax, rdx; cmovb rax, rdx
        [0xF0, 0xFF, 0x43, 0x38], // lock inc dword [rbx + 56]
        [0xF0, 0x48, 0x0F, 0xB1, 0x53, 0x40], // lock cmpxchg [rbx + 64], rdx
        [0x48, 0x87, 0x43, 0x48], // xchg [rbx + 72], rax
        [0xBA, 0x04, 0x00, 0x00, 0x00, 0xFF, 0xCA, 0x75, 0xFC], // mov edx, 4; again: dec edx; jne again
        [0x48, 0x8D, 0xBB, 0x00, 0x02, 0x00, 0x00, 0xB9, 0x20, 0x00, 0x00, 0x00, 0xF3, 0xAA], // lea rdi, [rbx + 512]; mov ecx, 32; rep stosb
        [0x48, 0x8D, 0xB3, 0x00, 0x01, 0x00, 0x00, 0x48, 0x8D, 0xBB, 0x00, 0x03, 0x00, 0x00, 0xB9, 0x08, 0x00, 0x00, 0x00, 0xF3, 0x48, 0xA5], // lea rsi, [rbx + 256]; lea rdi, [rbx + 768]; mov ecx, 8; rep movsq
        [0xF3, 0x0F, 0x6F, 0x43, 0x60, 0xF3, 0x0F, 0x7F, 0x43, 0x70], // movdqu xmm0, [rbx + 96]; movdqu [rbx + 112], xmm0
        [0xF7, 0xD8, 0x48, 0x0F, 0xC8], // neg eax; bswap rax
        [0x65, 0x8B, 0x03], // mov eax, gs:[rbx]
    ];

    /// <summary>The code, to be loaded at the start of a page with memory behind it.</summary>
    /// <param name="then">What is executed at the end; position-independent.</param>
    public static byte[] Build(ReadOnlySpan<byte> then)
    {
        List<byte> code = [0x48, 0x8D, 0x1D, 0, 0, 0, 0, 0x41, 0xBC, Rounds, 0, 0, 0]; // lea rbx, [rip + data]; mov r12d, Rounds
        int loop = code.Count;
        int calls = loop;
        for (int i = 0; i < Functions; i++)
        {
            code.AddRange([0xE8, 0, 0, 0, 0]); // call
        }

        code.AddRange([0x41, 0xFF, 0xCC, 0x0F, 0x85, 0, 0, 0, 0]); // dec r12d; jne loop
        int back = code.Count;
        code.AddRange(then);
        List<int> starts = [];
        for (int i = 0; i < Functions; i++)
        {
            starts.Add(code.Count);
            code.AddRange([0x55, 0x48, 0x89, 0xE5, 0x48, 0x83, 0xEC, 0x40]); // push rbp; mov rbp, rsp; sub rsp, 64
            for (int n = 0; n < Forms.Length; n++)
            {
                // Each in an order of its own; 7 and the number of forms have no divisor in common.
                code.AddRange(Forms[((n * 7) + (i * 3)) % Forms.Length]);
            }

            code.AddRange([0xC9, 0xC3]); // leave; ret
        }

        byte[] bytes = [.. code];
        Patch(bytes, 7, Data(bytes.Length));
        Patch(bytes, back, loop);
        for (int i = 0; i < Functions; i++)
        {
            Patch(bytes, calls + (5 * (i + 1)), starts[i]);
        }

        return bytes;
    }

    /// <summary>Bytes of memory that code of a length takes with its data, which shares no page with it.</summary>
    public static int MemorySize(int codeLength) => Data(codeLength) + DataSize;

    private static int Data(int codeLength) => (codeLength + PageSize - 1) & -PageSize;

    /// <summary>The distance from the end of a field to its target.</summary>
    private static void Patch(byte[] bytes, int end, int target) => BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(end - 4), target - end);
}
