using Shinano.Linux;

namespace Shinano.Cpu.Interpreter;

/// <summary>A host instruction that .NET does not offer, as an emitted function: LOCK CMPXCHG16B.</summary>
internal static unsafe class HostPrimitives
{
    private static readonly ExecutableMemory Code;
    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int> Exchange16;

    static HostPrimitives()
    {
        Code = new ExecutableMemory(4096);

        // push rbx; mov r8, rsi; mov rax, [rsi]; mov rbx, [rdx]; mov rcx, [rdx+8]; mov rdx, [rsi+8];
        // lock cmpxchg16b [rdi]; mov [r8], rax; mov [r8+8], rdx; sete al; movzx eax, al; pop rbx; ret
        ReadOnlySpan<byte> exchange =
        [
            0x53, 0x49, 0x89, 0xF0, 0x48, 0x8B, 0x06, 0x48, 0x8B, 0x1A, 0x48, 0x8B, 0x4A, 0x08, 0x48, 0x8B, 0x56, 0x08,
            0xF0, 0x48, 0x0F, 0xC7, 0x0F, 0x49, 0x89, 0x00, 0x49, 0x89, 0x50, 0x08, 0x0F, 0x94, 0xC0, 0x0F, 0xB6, 0xC0, 0x5B, 0xC3,
        ];

        // SAFETY: it fits the page, follows the System V ABI, touches only what it is given and does not call back.
        exchange.CopyTo(new Span<byte>(Code.Writable, exchange.Length));
        Exchange16 = (delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int>)Code.Executable;
    }

    /// <summary>Compares 16 aligned bytes with <paramref name="expected"/> and replaces them; what was there comes back in it.</summary>
    public static bool CompareExchange16(void* place, ulong* expected, ulong* value) => Exchange16(place, expected, value) != 0;
}
