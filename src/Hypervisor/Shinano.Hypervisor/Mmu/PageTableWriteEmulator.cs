using Iced.Intel;
using Shinano.Cpu;
using Shinano.X86;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Emulates the instructions with which a guest's kernel writes to its read-only mapped L1 tables: MOV, XCHG, CMPXCHG, XADD, AND, OR, XOR, ADD, SUB and the bit
/// instructions, 8 bytes, aligned. Anything else is the guest's page fault. Source: Xen's ptwr_do_page_fault.
/// </summary>
public sealed unsafe class PageTableWriteEmulator(MmuHypercalls mmu)
{
    private const int MaximumLength = 15;

    /// <summary>For <see cref="Domain.PageFaultFilter"/>: true when the write was done and RIP moved on.</summary>
    public bool TryEmulate(PvVcpu vcpu, ulong linear, PageFaultErrors errors)
    {
        const PageFaultErrors Protection = PageFaultErrors.Present | PageFaultErrors.Write;
        if (!vcpu.InKernel || (errors & Protection) != Protection || (linear & 7) != 0)
        {
            return false;
        }

        Span<byte> code = stackalloc byte[MaximumLength];
        int length = MaximumLength;
        while (length > 0 && !vcpu.Guest.TryRead(vcpu.State->Rip, code[..length]))
        {
            length--;
        }

        Decoder decoder = Decoder.Create(64, new ByteArrayCodeReader(code[..length].ToArray()));
        decoder.IP = vcpu.State->Rip;
        decoder.Decode(out Instruction instruction);
        if (instruction.IsInvalid || instruction.Op0Kind != OpKind.Memory || Address(vcpu.State, instruction) != linear)
        {
            return false;
        }

        lock (mmu.MmuLock)
        {
            if (!mmu.TryFindEntry(vcpu.CurrentRoot, linear, out ulong leafAddress)
                || !mmu.Space.Memory.TryReadUInt64(leafAddress, out ulong leaf)
                || (leaf & PageTableEntry.Present) == 0
                || !mmu.Space.TryGet(PageTableEntry.Frame(leaf), out int index)
                || mmu.Space[index].Type != FrameType.L1
                || mmu.Space[index].TypeCount == 0)
            {
                return false;
            }

            ulong target = (leaf & PageTableEntry.AddressMask) | (linear & 0xFFF);
            if (!Execute(vcpu.State, instruction, target))
            {
                return false;
            }
        }

        vcpu.State->Rip += (ulong)instruction.Length;
        vcpu.State->Rflags &= ~Rflags.Resume;
        return true;
    }

    private bool Execute(CpuState* state, in Instruction instruction, ulong target)
    {
        if (instruction.MemorySize.GetSize() != 8)
        {
            return false;
        }

        while (true)
        {
            mmu.Space.Memory.TryReadUInt64(target, out ulong old);
            ulong operand = instruction.Op1Kind == OpKind.Register ? Get(state, instruction.Op1Register) : instruction.GetImmediate(1);
            ulong bit = 1UL << (int)(operand & 63);
            bool isBit = instruction.Mnemonic is Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc;
            if (isBit && instruction.Op1Kind == OpKind.Register && operand > 63)
            {
                return false;
            }

            ulong? wanted = instruction.Mnemonic switch
            {
                Mnemonic.Mov or Mnemonic.Xchg => operand,
                Mnemonic.Cmpxchg => old == state->Gpr[0] ? operand : old,
                Mnemonic.And => old & operand,
                Mnemonic.Or => old | operand,
                Mnemonic.Xor => old ^ operand,
                Mnemonic.Add or Mnemonic.Xadd => old + operand,
                Mnemonic.Sub => old - operand,
                Mnemonic.Bts => old | bit,
                Mnemonic.Btr => old & ~bit,
                Mnemonic.Btc => old ^ bit,
                _ => null,
            };
            if (wanted is not { } value)
            {
                return false;
            }

            if (value != old || instruction.Mnemonic != Mnemonic.Cmpxchg)
            {
                int error = mmu.Types.CompareUpdate(target, 1, value, old, out ulong seen);
                if (error != 0)
                {
                    return false;
                }

                if (seen != old)
                {
                    // A CPU set an accessed or dirty bit meanwhile.
                    continue;
                }
            }

            switch (instruction.Mnemonic)
            {
                case Mnemonic.Mov:
                    break;
                case Mnemonic.Xchg:
                    Set(state, instruction.Op1Register, old);
                    break;
                case Mnemonic.Cmpxchg:
                    SetFlags(state, state->Gpr[0] - old, state->Gpr[0], old, subtraction: true);
                    if (old != state->Gpr[0])
                    {
                        state->Gpr[0] = old;
                    }

                    break;
                case Mnemonic.Xadd:
                    SetFlags(state, value, old, operand, subtraction: false);
                    Set(state, instruction.Op1Register, old);
                    break;
                case Mnemonic.Add or Mnemonic.Sub:
                    SetFlags(state, value, old, operand, instruction.Mnemonic == Mnemonic.Sub);
                    break;
                case Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                    state->Rflags = (state->Rflags & ~Rflags.Carry) | ((old & bit) != 0 ? Rflags.Carry : 0);
                    break;
                default:
                    SetFlags(state, value, 0, 0, subtraction: false);
                    state->Rflags &= ~(Rflags.Carry | Rflags.Overflow | Rflags.Adjust);
                    break;
            }

            return true;
        }
    }

    private static void SetFlags(CpuState* state, ulong result, ulong left, ulong right, bool subtraction)
    {
        ulong carry = subtraction ? (~left & right) | ((~left ^ right) & result) : (left & right) | ((left | right) & ~result);
        ulong overflow = subtraction ? (left ^ right) & (left ^ result) : (left ^ result) & (right ^ result);
        state->Rflags = (state->Rflags & ~Rflags.Arithmetic)
            | (carry >> 63)
            | ((overflow >> 63) << 11)
            | ((left ^ right ^ result) & Rflags.Adjust)
            | (result == 0 ? Rflags.Zero : 0)
            | ((result >> 63) << 7)
            | ((System.Numerics.BitOperations.PopCount((byte)result) & 1) == 0 ? Rflags.Parity : 0);
    }

    private static ulong Address(CpuState* state, Instruction instruction)
    {
        return instruction.GetVirtualAddress(0, 0, Value);

        ulong Value(Register register, int element, int size) => register switch
        {
            Register.FS => state->Fs.Base,
            Register.GS => state->Gs.Base,
            Register.ES or Register.CS or Register.SS or Register.DS => 0,
            _ when register.IsGPR32() => (uint)Get(state, register.GetFullRegister()),
            _ => Get(state, register),
        };
    }

    private static ulong Get(CpuState* state, Register register) => register.IsGPR64() ? state->Gpr[register.GetNumber()] : 0;

    private static void Set(CpuState* state, Register register, ulong value) => state->Gpr[register.GetNumber()] = value;
}
