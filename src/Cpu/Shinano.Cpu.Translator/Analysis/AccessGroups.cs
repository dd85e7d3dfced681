using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>
/// Finds accesses off one base register that one check can serve: those of the stack, whose pointer moves by known steps, and those off a register that stays as it is,
/// reads and writes apart. A group ends at a call, and where its base changes.
/// </summary>
/// <remarks>
/// The head's check is for bytes that a side exit may leave untouched. They are in the page that the head itself accesses, and in the same way, so nothing is
/// asked of the page tables that the guest did not ask. Only the stack's group has reads and writes together: its window is for both.
/// </remarks>
internal sealed class AccessGroups
{
    /// <summary>Groups of a block at most, the stack's not counted: what their heads found is kept in as many words of the state.</summary>
    public const int MaxGroups = 8;

    /// <summary>The stack's group.</summary>
    public const int Stack = MaxGroups;

    /// <summary>Bytes of a group at most: the longer, the more often it does not fit into a page.</summary>
    private const int MaxSize = 256;

    private const int Rsp = HostRegisters.Rsp;

    private readonly InstructionInfoFactory _information = new();
    private readonly List<Open> _open = [];
    private int _used;

    /// <summary>RSP against its value at some place before.</summary>
    private int _depth;

    /// <summary>Fills in <see cref="GuestInstruction.Operand"/> and <see cref="GuestInstruction.Stack"/>.</summary>
    public void Analyse(GuestBlock block)
    {
        _open.Clear();
        _used = 0;
        _depth = 0;
        for (int i = 0; i < block.Count; i++)
        {
            ref GuestInstruction instruction = ref block[i];
            if (MayGroup(instruction))
            {
                int number = HostRegisters.NumberOf(instruction.Code.MemoryBase);
                Add(block, i, number, (int)instruction.Code.MemoryDisplacement64, instruction.MemorySize, instruction.WritesMemory, explicitly: true);
            }

            switch (instruction.Kind)
            {
                case InstructionKind.Push:
                    Add(block, i, Rsp, -8, 8, write: true, explicitly: false);
                    _depth -= 8;
                    break;
                case InstructionKind.Pop:
                    Add(block, i, Rsp, 0, 8, write: false, explicitly: false);
                    _depth += 8;
                    Close(HostRegisters.NumberOf(instruction.Code.Op0Register));
                    break;
                case InstructionKind.CallIndirect:
                    // The look-up of its target may close the stack's window.
                    _open.Clear();
                    break;
                case InstructionKind.Call:
                    Add(block, i, Rsp, -8, 8, write: true, explicitly: false);
                    _open.Clear();
                    break;
                case InstructionKind.Return:
                    Add(block, i, Rsp, 0, 8, write: false, explicitly: false);
                    break;
                case InstructionKind.Leave:
                    Close(Rsp);
                    Close(HostRegisters.NumberOf(Register.RBP));
                    break;
                case InstructionKind.JumpIf or InstructionKind.Jump or InstructionKind.JumpIndirect or InstructionKind.Syscall or InstructionKind.Nothing:
                    break;
                default:
                    FollowRegisters(instruction.Code);
                    break;
            }
        }
    }

    private static bool MayGroup(in GuestInstruction instruction) =>
        instruction.HasMemory
        && instruction.Alignment == 1
        && instruction.Kind != InstructionKind.BitInMemory
        && instruction.Code.IsStackOrHomed();

    /// <summary>An access becomes a member of an open group, or opens one.</summary>
    private void Add(GuestBlock block, int index, int number, int displacement, int size, bool write, bool explicitly)
    {
        if (number == Rsp)
        {
            displacement += _depth;
        }

        for (int i = 0; i < _open.Count; i++)
        {
            Open open = _open[i];
            if (open.Base != number || (write && !open.Writes))
            {
                continue;
            }

            int start = Math.Min(open.Start, displacement);
            int end = Math.Max(open.End, displacement + size);
            if (end - start > MaxSize)
            {
                continue;
            }

            if (open.Group < 0)
            {
                open = open with { Group = number == Rsp ? Stack : _used++ };
            }

            open = open with { Start = start, End = end };
            _open[i] = open;
            PlanOf(ref block[open.Head], open.Explicit) = new AccessPlan(AccessRole.Head, open.Group, start - open.Origin, end - start);
            PlanOf(ref block[index], explicitly) = new AccessPlan(AccessRole.Member, open.Group, 0, 0);
            return;
        }

        // The stack's window may lead elsewhere from here on, and each register has one group for reads and one for writes.
        bool writes = write || number == Rsp;
        Close(number, writes);
        if (number == Rsp || _used < MaxGroups)
        {
            _open.Add(new Open(number, writes, -1, index, explicitly, number == Rsp ? _depth : 0, displacement, displacement + size));
        }
    }

    private void FollowRegisters(in Instruction code)
    {
        if (IsStep(code, out int step))
        {
            _depth += step;
            return;
        }

        foreach (UsedRegister used in _information.GetInfo(code).GetUsedRegisters())
        {
            if (used.Register.IsGPR() && used.Access is OpAccess.Write or OpAccess.ReadWrite or OpAccess.CondWrite or OpAccess.ReadCondWrite)
            {
                Close(HostRegisters.NumberOf(used.Register));
            }
        }
    }

    /// <summary>Whether an instruction moves RSP by a known step.</summary>
    private static bool IsStep(in Instruction code, out int step)
    {
        const int MaxStep = 1 << 20;
        step = 0;
        if (code.Op0Kind != OpKind.Register || code.Op0Register != Register.RSP)
        {
            return false;
        }

        switch (code.Code)
        {
            case Code.Add_rm64_imm8 or Code.Add_rm64_imm32:
                step = (int)(long)code.GetImmediate(1);
                break;
            case Code.Sub_rm64_imm8 or Code.Sub_rm64_imm32:
                step = -(int)(long)code.GetImmediate(1);
                break;
            case Code.Lea_r64_m when code.MemoryBase == Register.RSP && code.MemoryIndex == Register.None:
                step = (int)(long)code.MemoryDisplacement64;
                break;
            default:
                return false;
        }

        return step is > -MaxStep and < MaxStep;
    }

    private void Close(int number)
    {
        Close(number, writes: false);
        Close(number, writes: true);
    }

    private void Close(int number, bool writes)
    {
        for (int i = _open.Count - 1; i >= 0; i--)
        {
            if (_open[i].Base == number && _open[i].Writes == writes)
            {
                _open.RemoveAt(i);
            }
        }
    }

    private static ref AccessPlan PlanOf(ref GuestInstruction instruction, bool explicitly)
    {
        if (explicitly)
        {
            return ref instruction.Operand;
        }

        return ref instruction.Stack;
    }

    /// <summary>A group that may grow.</summary>
    /// <param name="Base">Number of the base register.</param>
    /// <param name="Writes">Its check is for writes, too.</param>
    /// <param name="Group">Its number; -1 while it has one access.</param>
    /// <param name="Head">Index of the first access's instruction, and</param>
    /// <param name="Explicit">whether that is its operand.</param>
    /// <param name="Origin">The stack's depth at the head.</param>
    /// <param name="Start">First byte, from the base register, for the stack from depth 0.</param>
    /// <param name="End">Behind the last byte.</param>
    private readonly record struct Open(int Base, bool Writes, int Group, int Head, bool Explicit, int Origin, int Start, int End);
}
