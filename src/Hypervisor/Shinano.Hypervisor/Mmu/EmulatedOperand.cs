using Iced.Intel;
using Shinano.Cpu;

namespace Shinano.Hypervisor.Mmu;

/// <summary>Registers, immediates and the memory address of a decoded instruction, over a vCPU's general registers.</summary>
internal static unsafe class EmulatedOperand
{
    /// <summary>The linear address of the memory operand, with the bases that 64-bit mode uses (FS and GS).</summary>
    public static ulong AddressOf(CpuState* state, in Instruction instruction)
    {
        ulong sum = instruction.MemoryDisplacement64;
        if (instruction.MemoryBase is not (Register.None or Register.RIP or Register.EIP))
        {
            sum += Read(state, instruction.MemoryBase);
        }

        if (instruction.MemoryIndex != Register.None)
        {
            sum += Read(state, instruction.MemoryIndex) * (ulong)instruction.MemoryIndexScale;
        }

        if (instruction.MemoryBase.IsGPR32() || instruction.MemoryIndex.IsGPR32() || instruction.MemoryBase == Register.EIP)
        {
            sum = (uint)sum;
        }

        return instruction.MemorySegment switch
        {
            Register.FS => sum + state->Fs.Base,
            Register.GS => sum + state->Gs.Base,
            _ => sum,
        };
    }

    /// <summary>The value of source operand <paramref name="operand"/>, zero-extended; false when it is neither a general register nor an immediate.</summary>
    public static bool TryGetSource(CpuState* state, in Instruction instruction, int operand, out ulong value)
    {
        OpKind kind = instruction.GetOpKind(operand);
        if (kind == OpKind.Register)
        {
            Register register = instruction.GetOpRegister(operand);
            value = register.IsGPR() ? Read(state, register) : 0;
            return register.IsGPR();
        }

        if (kind is >= OpKind.Immediate8 and <= OpKind.Immediate32to64)
        {
            value = instruction.GetImmediate(operand);
            return true;
        }

        value = 0;
        return false;
    }

    /// <summary>A general register of any size, zero-extended.</summary>
    public static ulong Read(CpuState* state, Register register)
    {
        if (register is Register.AH or Register.CH or Register.DH or Register.BH)
        {
            return (state->Gpr[register - Register.AH] >> 8) & 0xFF;
        }

        ulong full = state->Gpr[register.GetFullRegister().GetNumber()];
        return register.GetSize() switch
        {
            1 => full & 0xFF,
            2 => full & 0xFFFF,
            4 => full & 0xFFFF_FFFF,
            _ => full,
        };
    }

    /// <summary>Sets a general register: 32-bit writes clear the upper half, smaller ones leave the rest.</summary>
    public static void Write(CpuState* state, Register register, ulong value)
    {
        if (register is Register.AH or Register.CH or Register.DH or Register.BH)
        {
            ref ulong high = ref state->Gpr[register - Register.AH];
            high = (high & ~0xFF00UL) | ((value & 0xFF) << 8);
            return;
        }

        ref ulong full = ref state->Gpr[register.GetFullRegister().GetNumber()];
        full = register.GetSize() switch
        {
            1 => (full & ~0xFFUL) | (value & 0xFF),
            2 => (full & ~0xFFFFUL) | (value & 0xFFFF),
            4 => value & 0xFFFF_FFFF,
            _ => value,
        };
    }

    /// <summary>The accumulator of an operand size: AL, AX, EAX or RAX.</summary>
    public static Register Accumulator(int size) => size switch
    {
        1 => Register.AL,
        2 => Register.AX,
        4 => Register.EAX,
        _ => Register.RAX,
    };
}
