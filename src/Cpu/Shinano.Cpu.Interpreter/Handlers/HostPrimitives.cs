using Shinano.Linux;

namespace Shinano.Cpu.Interpreter;

/// <summary>Two host instructions that .NET does not offer, as emitted functions: RDTSC and LOCK CMPXCHG16B.</summary>
internal static unsafe class HostPrimitives
{
    private static readonly ExecutableMemory Code;
    private static readonly delegate* unmanaged[SuppressGCTransition]<ulong> Timestamp;
    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int> Exchange16;

    static HostPrimitives()
    {
        Code = new ExecutableMemory(4096);

        // rdtsc; shl rdx, 32; or rax, rdx; ret
        ReadOnlySpan<byte> timestamp = [0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0, 0xC3];

        // push rbx; mov r8, rsi; mov rax, [rsi]; mov rbx, [rdx]; mov rcx, [rdx+8]; mov rdx, [rsi+8];
        // lock cmpxchg16b [rdi]; mov [r8], rax; mov [r8+8], rdx; sete al; movzx eax, al; pop rbx; ret
        ReadOnlySpan<byte> exchange =
        [
            0x53, 0x49, 0x89, 0xF0, 0x48, 0x8B, 0x06, 0x48, 0x8B, 0x1A, 0x48, 0x8B, 0x4A, 0x08, 0x48, 0x8B, 0x56, 0x08,
            0xF0, 0x48, 0x0F, 0xC7, 0x0F, 0x49, 0x89, 0x00, 0x49, 0x89, 0x50, 0x08, 0x0F, 0x94, 0xC0, 0x0F, 0xB6, 0xC0, 0x5B, 0xC3,
        ];

        // SAFETY: both fit the page; they follow the System V ABI, touch only what they are given and do not call back.
        timestamp.CopyTo(new Span<byte>(Code.Writable, 64));
        exchange.CopyTo(new Span<byte>(Code.Writable + 64, 64));
        Timestamp = (delegate* unmanaged[SuppressGCTransition]<ulong>)Code.Executable;
        Exchange16 = (delegate* unmanaged[SuppressGCTransition]<void*, ulong*, ulong*, int>)(Code.Executable + 64);
    }

    /// <summary>The host's time-stamp counter.</summary>
    public static ulong ReadTimestamp() => Timestamp();

    /// <summary>Compares 16 aligned bytes with <paramref name="expected"/> and replaces them; what was there comes back in it.</summary>
    public static bool CompareExchange16(void* place, ulong* expected, ulong* value) => Exchange16(place, expected, value) != 0;
}
