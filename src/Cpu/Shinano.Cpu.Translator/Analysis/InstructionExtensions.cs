using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>Questions about decoded instructions.</summary>
internal static class InstructionExtensions
{
    /// <summary>Whether the memory operand has 64-bit address registers (no prefix 67, no vector index), so that it can be rewritten.</summary>
    public static bool MemorySegmentPlain(this in Instruction code) =>
        (code.MemoryBase is Register.None or Register.RIP || code.MemoryBase.IsGPR64())
        && (code.MemoryIndex == Register.None || code.MemoryIndex.IsGPR64())
        && (code.MemoryBase != Register.None || code.MemoryIndex != Register.None || code.MemoryDisplSize != 4 || (long)code.MemoryDisplacement64 == (int)code.MemoryDisplacement64);

    /// <summary>Whether the address needs no register: RIP-relative or absolute, without the base of FS or GS.</summary>
    public static bool IsConstantAddress(this in Instruction code) =>
        code.MemoryBase is Register.None or Register.RIP && code.MemoryIndex == Register.None && !code.HasSegmentBase();

    /// <summary>Whether the base of FS or GS is added.</summary>
    public static bool HasSegmentBase(this in Instruction code) => code.MemorySegment is Register.FS or Register.GS;

    /// <summary>Whether an operand is in memory; what the encoding's memory size is says nothing of it.</summary>
    public static bool HasMemoryOperand(this in Instruction code) =>
        code.Op0Kind == OpKind.Memory || code.Op1Kind == OpKind.Memory || code.Op2Kind == OpKind.Memory || code.Op3Kind == OpKind.Memory;

    /// <summary>Whether the memory operand is a register that stays in a host register, and a displacement.</summary>
    public static bool IsStackOrHomed(this in Instruction code) =>
        code.MemoryIndex == Register.None
        && code.MemoryBase.IsGPR64()
        && !code.HasSegmentBase()
        && HostRegisters.HomeOf(HostRegisters.NumberOf(code.MemoryBase)) != HostRegisters.None
        && (long)code.MemoryDisplacement64 is > -MaxDistance and < MaxDistance;

    private const long MaxDistance = 1 << 16;
}
