using Iced.Intel;
using Shinano.Cpu;
using Shinano.Hypervisor.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Emulates the instructions with which a guest's kernel writes to its read-only mapped L1 tables: MOV, XCHG, CMPXCHG, XADD, the arithmetic and the bit
/// instructions, of 1 to 8 bytes, naturally aligned. Anything else is the guest's page fault. Source: Xen's ptwr_do_page_fault.
/// </summary>
public sealed unsafe class PageTableWriteEmulator(MmuHypercalls mmu)
{
    private const int MaximumLength = 15;
    private const ulong WordMask = 7;

    /// <summary>For <see cref="Domain.PageFaultFilter"/>: true when the write was done and RIP moved on.</summary>
    public bool TryEmulate(PvVcpu vcpu, ulong linear, PageFaultErrors errors)
    {
        const PageFaultErrors Protection = PageFaultErrors.Present | PageFaultErrors.Write;
        if (linear - AddressSpaceLayout.MachineToPhysicalStart < AddressSpaceLayout.HypervisorEnd - AddressSpaceLayout.MachineToPhysicalStart)
        {
            return mmu.Descriptors.TryHandleFault(vcpu, linear, errors);
        }

        if (!vcpu.InKernel
            || (errors & (Protection | PageFaultErrors.ReservedBit | PageFaultErrors.InstructionFetch)) != Protection
            || !IsL1Table(vcpu, linear)
            || !TryDecode(vcpu, out Instruction instruction))
        {
            return false;
        }

        int size = instruction.MemorySize.GetSize();
        ulong address = EmulatedOperand.AddressOf(vcpu.State, instruction);
        if (!TryAddBitOffset(vcpu.State, instruction, size, ref address)
            || size is not (1 or 2 or 4 or 8)
            || (address & ((ulong)size - 1)) != 0
            || ((address ^ linear) & ~0xFFFUL) != 0)
        {
            return false;
        }

        lock (mmu.MmuLock)
        {
            if (!mmu.Types.Settle())
            {
                // The instruction is tried again.
                mmu.Types.BeginWork();
                return true;
            }

            // The look before decoding was a hint; this one counts.
            if (!TryFindTarget(vcpu, address, out ulong target) || !Execute(vcpu.State, instruction, target, size))
            {
                return false;
            }
        }

        vcpu.State->Rip += (ulong)instruction.Length;
        TrapDelivery.CompleteInstruction(vcpu);
        return true;
    }

    private static bool TryDecode(PvVcpu vcpu, out Instruction instruction)
    {
        byte[] code = new byte[MaximumLength];
        ulong rip = vcpu.State->Rip;
        int length = MaximumLength;
        if (!vcpu.Guest.TryRead(rip, code))
        {
            // The instruction may end before a page that is not there.
            length = (int)(0x1000 - (rip & 0xFFF));
            if (length >= MaximumLength || !vcpu.Guest.TryRead(rip, code.AsSpan(0, length)))
            {
                instruction = default;
                return false;
            }
        }

        Decoder decoder = Decoder.Create(64, new ByteArrayCodeReader(code, 0, length));
        decoder.IP = rip;
        decoder.Decode(out instruction);
        return !instruction.IsInvalid && instruction.OpCount > 0 && instruction.Op0Kind == OpKind.Memory;
    }

    /// <summary>A bit instruction with a register operand reaches beyond its memory operand. Source: SDM 1 §3.7.6, bit strings.</summary>
    private static bool TryAddBitOffset(CpuState* state, in Instruction instruction, int size, ref ulong address)
    {
        if (instruction.Mnemonic is not (Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc) || instruction.Op1Kind != OpKind.Register)
        {
            return true;
        }

        ulong raw = EmulatedOperand.Read(state, instruction.Op1Register);
        long offset = size switch
        {
            2 => (short)raw,
            4 => (int)raw,
            _ => (long)raw,
        };
        address += (ulong)((offset >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * size);
        return true;
    }

    private bool IsL1Table(PvVcpu vcpu, ulong address)
    {
        lock (mmu.MmuLock)
        {
            return TryFindTarget(vcpu, address, out _);
        }
    }

    /// <summary>Machine address behind a read-only mapping of an L1 table.</summary>
    private bool TryFindTarget(PvVcpu vcpu, ulong address, out ulong target)
    {
        target = 0;
        if (!mmu.TryFindEntry(vcpu.CurrentRoot, address, out ulong leafAddress)
            || !mmu.Space.Memory.TryReadUInt64(leafAddress, out ulong leaf)
            || (leaf & (PageTableEntry.Present | PageTableEntry.Writable)) != PageTableEntry.Present
            || !mmu.Space.TryGet(PageTableEntry.Frame(leaf), out int index)
            || mmu.Space[index].Type != FrameType.L1
            || mmu.Space[index].TypeCount == 0)
        {
            return false;
        }

        target = (leaf & PageTableEntry.AddressMask) | (address & 0xFFF);
        return true;
    }

    private bool Execute(CpuState* state, in Instruction instruction, ulong target, int size)
    {
        ulong word = target & ~WordMask;
        int shift = (int)(target & WordMask) * 8;
        ulong mask = EmulatedArithmetic.Mask(size);
        ulong source = 0;
        if (instruction.OpCount > 1 && !EmulatedOperand.TryGetSource(state, instruction, 1, out source))
        {
            return false;
        }

        Register accumulator = EmulatedOperand.Accumulator(size);
        while (true)
        {
            if (!mmu.Space.Memory.TryReadUInt64(word, out ulong whole))
            {
                return false;
            }

            ulong old = (whole >> shift) & mask;
            ulong flags = state->Rflags;
            ulong value;
            if (instruction.Mnemonic == Mnemonic.Cmpxchg)
            {
                ulong expected = EmulatedOperand.Read(state, accumulator);
                flags = EmulatedArithmetic.Compare(flags, expected, old, size);
                if (expected != old)
                {
                    EmulatedOperand.Write(state, accumulator, old);
                    state->Rflags = flags;
                    return true;
                }

                value = source & mask;
            }
            else if (!EmulatedArithmetic.TryCompute(instruction.Mnemonic, size, old, source, ref flags, out value))
            {
                return false;
            }

            ulong wanted = (whole & ~(mask << shift)) | (value << shift);
            if (mmu.Types.CompareUpdate(word, wanted, whole, out ulong seen) != 0)
            {
                return false;
            }

            if (seen != whole)
            {
                // A CPU set an accessed or dirty bit meanwhile.
                continue;
            }

            if (instruction.Mnemonic is Mnemonic.Xchg or Mnemonic.Xadd)
            {
                EmulatedOperand.Write(state, instruction.Op1Register, old);
            }

            state->Rflags = flags;
            return true;
        }
    }
}
