using Iced.Intel;
using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator;

/// <summary>
/// Emits the check that an operand lies in a page of the look-aside tables, and gives the host operand for it. Nothing of an instruction is committed
/// before its check: a miss fills the tables and tries again, or leaves the whole instruction to the interpreter, which also makes the faults.
/// </summary>
/// <remarks>RCX and R15 are lost. Where flags are live, the sequences use only instructions that leave them alone (LEA, PEXT, JRCXZ).</remarks>
/// <param name="leave">Emits the way to the interpreter before an instruction.</param>
/// <param name="leaveGroup">Emits the way to code without groups before an instruction.</param>
internal sealed class MemoryEmitter(HostAssembler code, MemoryEmitter.Leave leave, MemoryEmitter.Leave leaveGroup)
{
    private const int PageSize = 0x1000;
    private const int IndexMask = (Core.TlbEntries - 1) << TlbEntry.Shift;

    private const int NoLabel = -1;

    /// <summary>R15 holds no group's addend.</summary>
    private const int NoGroup = -1;
    private const int Rcx = HostRegisters.Rcx;
    private const int R15 = HostRegisters.R15;

    private int _context;

    /// <summary>The group whose addend R15 holds.</summary>
    private int _held = NoGroup;

    /// <summary>Emits the way to the interpreter before an instruction.</summary>
    public delegate void Leave(in GuestInstruction instruction);

    /// <summary>R15 = index of the address in RCX, times 4, for a scale of 8. Leaves the flags alone.</summary>
    public static void TableIndex(HostAssembler code)
    {
        code.ParallelExtract(R15, Rcx, HostOperand.State(NativeLayout.IndexMask));
        code.Lea(R15, new HostOperand(-1, false, -1, R15, TlbEntry.Shift - 3, 0));
    }

    /// <summary>Jumps when RCX is not below the page size. Leaves the flags alone; RCX is lost.</summary>
    public static void JumpUnlessFirstPage(HostAssembler code, int label)
    {
        code.ParallelExtract(Rcx, Rcx, HostOperand.State(NativeLayout.PageMask));
        code.SkipIfRcxZero(() => code.Jump(label));
    }

    public void Start(int context)
    {
        _context = context;
        _held = NoGroup;
    }

    /// <summary>R15 is lost.</summary>
    public void ForgetAddend() => _held = NoGroup;

    /// <summary>Checks an instruction's explicit memory operand.</summary>
    public HostOperand Check(in GuestInstruction instruction)
    {
        Instruction guest = instruction.Code;
        if (guest.IsConstantAddress())
        {
            ulong address = guest.IsIPRelativeMemoryOperand ? guest.IPRelativeMemoryAddress : guest.MemoryDisplacement64;
            int offset = (int)(address & (PageSize - 1));
            return offset + instruction.MemorySize <= PageSize && offset % instruction.Alignment == 0
                ? CheckConstant(instruction, address)
                : CheckGeneral(instruction, () => code.MoveImmediate(Rcx, address), null);
        }

        if (guest.IsStackOrHomed())
        {
            int home = HostRegisters.HomeOf(HostRegisters.NumberOf(guest.MemoryBase));
            int displacement = (int)guest.MemoryDisplacement64;
            return guest.MemoryBase == Register.RSP && instruction.Alignment == 1
                ? CheckStack(instruction, instruction.Operand, home, displacement, instruction.MemorySize, instruction.WritesMemory)
                : CheckHomed(instruction, home, displacement);
        }

        return CheckGeneral(instruction, () => EffectiveAddress(guest, Rcx, withSegment: true), null);
    }

    /// <summary>
    /// Checks the element of a bit string that holds a bit: the operand's address plus the element's size times the bit's number over the element's bits.
    /// Flags must not be live.
    /// </summary>
    /// <param name="number">Guest register with the bit's number, signed and as wide as an element.</param>
    public HostOperand CheckElement(in GuestInstruction instruction, int number)
    {
        Instruction guest = instruction.Code;
        bool wide = instruction.MemorySize == 8;
        return CheckGeneral(
            instruction,
            () =>
            {
                EffectiveAddress(guest, Rcx, withSegment: true);
                int home = HostRegisters.HomeOf(number);
                code.Op(0, wide, 0x8B, R15, home >= 0 ? HostOperand.Reg(home) : HostOperand.State(NativeLayout.Gpr(number)));
                if (!wide)
                {
                    code.Op(0, true, 0x63, R15, HostOperand.Reg(R15)); // MOVSXD
                }

                code.Shift(HostShift.ArithmeticRight, true, R15, wide ? 6 : 5);
                code.Lea(Rcx, HostOperand.Mem(Rcx, R15, wide ? 3 : 2, 0));
            },
            null);
    }

    /// <summary>
    /// Checks a run of elements from a register on, as many as guest RCX says: all of them in one page. Leaves R15 as what to add to a linear address of that page.
    /// Flags must not be live.
    /// </summary>
    /// <param name="home">Host register of the address.</param>
    /// <param name="scale">Shift of an element's size.</param>
    public void CheckRun(in GuestInstruction instruction, int home, int scale, bool write)
    {
        _held = NoGroup;
        int table = NativeLayout.Table(_context, write);
        int slow = code.NewLabel();
        int tooLong = code.NewLabel();

        // First by itself: the sum below must not wrap around.
        code.Arithmetic(7, true, HostOperand.Reg(HostRegisters.GuestRcx), PageSize);
        code.JumpIf(HostCondition.Above, tooLong);
        int retry = code.Here();
        code.Move(Rcx, home);
        OffsetInPage(table);
        code.Arithmetic(7, true, HostOperand.Reg(Rcx), PageSize - 1);
        code.JumpIf(HostCondition.Above, slow);
        code.Lea(Rcx, new HostOperand(-1, false, Rcx, HostRegisters.GuestRcx, scale, 0));
        code.Arithmetic(7, true, HostOperand.Reg(Rcx), PageSize);
        code.JumpIf(HostCondition.Above, tooLong);
        code.Load(R15, HostOperand.State(table + TlbEntry.AddendOffset, R15));
        LeaveAt(instruction, tooLong);
        GuestInstruction copy = instruction;
        code.Cold(() =>
        {
            code.Bind(slow);
            code.Move(Rcx, home);
            Fill(copy, 1 | (write ? FillRequest.Write : 0), retry);
        });
    }

    /// <summary>Emits the way to the interpreter before an instruction, here.</summary>
    public void LeaveHere(in GuestInstruction instruction) => leave(instruction);

    /// <summary>Checks an operand that the guest's stack pointer, or its frame pointer, leads to. Leaves R15 as what to add to a linear address of that page.</summary>
    /// <param name="plan">The access's part in a group.</param>
    /// <param name="home">Host register of the base.</param>
    public HostOperand CheckStack(in GuestInstruction instruction, in AccessPlan plan, int home, int displacement, int size, bool write)
    {
        int window = NativeLayout.StackWindow(_context);
        HostOperand operand = HostOperand.Mem(home, R15, 0, displacement);
        if (plan.Role == AccessRole.Member)
        {
            HoldAddend(plan.Group, window + 8);
            return operand;
        }

        bool isHead = plan.Role == AccessRole.Head;
        if (isHead)
        {
            (displacement, size) = (plan.Start, plan.Size);
        }

        int retry = code.Here();
        int slow = code.NewLabel();
        if (instruction.LiveBefore == ArithmeticFlag.None)
        {
            code.Lea(Rcx, HostOperand.Mem(home, displacement));
            code.Op(0, true, 0x03, Rcx, HostOperand.State(window));
            code.Arithmetic(7, true, HostOperand.Reg(Rcx), PageSize - size);
            code.JumpIf(HostCondition.Above, slow);
        }
        else
        {
            code.Load(R15, HostOperand.State(window));
            for (int end = 0; end < 2; end++)
            {
                code.Lea(Rcx, HostOperand.Mem(home, R15, 0, displacement + (end * (size - 1))));
                JumpUnlessFirstPage(code, slow);
            }
        }

        code.Load(R15, HostOperand.State(window + 8));
        _held = isHead ? plan.Group : NoGroup;
        GuestInstruction copy = instruction;
        code.Cold(() =>
        {
            code.Bind(slow);
            code.Lea(Rcx, HostOperand.Mem(home, displacement));
            Fill(copy, size | FillRequest.Stack | (write ? FillRequest.Write : 0), retry, isHead ? code.NewLabel() : NoLabel);
        });
        return operand;
    }

    /// <summary>Puts base + index * scale + displacement of an operand into a register. May use R15.</summary>
    /// <param name="withSegment">Add the base of FS or GS.</param>
    public void EffectiveAddress(in Instruction guest, int destination, bool withSegment)
    {
        _held = NoGroup;
        int displacement = (int)guest.MemoryDisplacement64;
        int home = -1;
        if (guest.IsIPRelativeMemoryOperand)
        {
            code.MoveImmediate(destination, guest.IPRelativeMemoryAddress);
            home = destination;
            displacement = 0;
        }
        else if (guest.MemoryBase != Register.None)
        {
            int number = HostRegisters.NumberOf(guest.MemoryBase);
            home = HostRegisters.HomeOf(number);
            if (home == HostRegisters.None)
            {
                home = Rcx;
                code.Load(Rcx, HostOperand.State(NativeLayout.Gpr(number)));
            }
        }

        int index = -1;
        if (guest.MemoryIndex != Register.None)
        {
            int number = HostRegisters.NumberOf(guest.MemoryIndex);
            index = HostRegisters.HomeOf(number);
            if (index == HostRegisters.None)
            {
                index = R15;
                code.Load(R15, HostOperand.State(NativeLayout.Gpr(number)));
            }
        }

        if (home < 0 && index < 0)
        {
            code.MoveImmediate(destination, (ulong)(long)displacement);
        }
        else if (home != destination || index >= 0 || displacement != 0)
        {
            int scale = System.Numerics.BitOperations.Log2((uint)guest.MemoryIndexScale);
            code.Lea(destination, new HostOperand(-1, false, home, index, index < 0 ? 0 : scale, displacement));
        }

        if (withSegment && guest.HasSegmentBase())
        {
            code.Load(R15, HostOperand.State(guest.MemorySegment == Register.FS ? NativeLayout.FsBase : NativeLayout.GsBase));
            code.Lea(destination, HostOperand.Mem(destination, R15, 0, 0));
        }
    }

    /// <summary>Puts the way to the interpreter before an instruction behind a label.</summary>
    public void LeaveAt(in GuestInstruction instruction, int label)
    {
        GuestInstruction copy = instruction;
        code.Cold(() =>
        {
            code.Bind(label);
            leave(copy);
        });
    }

    /// <summary>An operand off a register that stays in a host register.</summary>
    private HostOperand CheckHomed(in GuestInstruction instruction, int home, int displacement)
    {
        HostOperand operand = HostOperand.Mem(home, R15, 0, displacement);
        AccessPlan plan = instruction.Operand;
        switch (plan.Role)
        {
            case AccessRole.Member:
                HoldAddend(plan.Group, NativeLayout.GroupAddend(plan.Group));
                break;
            case AccessRole.Head:
                CheckGeneral(instruction, () => code.Lea(Rcx, HostOperand.Mem(home, plan.Start)), operand, plan.Size);
                code.Store(HostOperand.State(NativeLayout.GroupAddend(plan.Group)), R15);
                _held = plan.Group;
                break;
            default:
                CheckGeneral(instruction, () => code.Lea(Rcx, HostOperand.Mem(home, displacement)), operand);
                break;
        }

        return operand;
    }

    private void HoldAddend(int group, int place)
    {
        if (_held != group)
        {
            code.Load(R15, HostOperand.State(place));
            _held = group;
        }
    }

    /// <summary>An address known now: its entry's place in the table is too.</summary>
    private HostOperand CheckConstant(in GuestInstruction instruction, ulong address)
    {
        _held = NoGroup;
        ulong page = address & ~(ulong)(PageSize - 1);
        ulong slot = (address >> 12) & (Core.TlbEntries - 1);
        int entry = NativeLayout.Table(_context, instruction.WritesMemory) + (int)(slot << TlbEntry.Shift);
        ulong tag = 0 - page;
        int retry = code.Here();
        int slow = code.NewLabel();
        if (instruction.LiveBefore != ArithmeticFlag.None)
        {
            code.MoveImmediate(Rcx, page);
            code.Load(R15, HostOperand.State(entry + TlbEntry.TagOffset));
            code.Lea(Rcx, HostOperand.Mem(Rcx, R15, 0, 0));
            code.SkipIfRcxZero(() => code.Jump(slow));
        }
        else
        {
            if ((long)tag == (int)tag)
            {
                code.Arithmetic(7, true, HostOperand.State(entry + TlbEntry.TagOffset), (int)tag);
            }
            else
            {
                code.MoveImmediate(Rcx, tag);
                code.Op(0, true, 0x3B, Rcx, HostOperand.State(entry + TlbEntry.TagOffset));
            }

            code.JumpIf(HostCondition.NotEqual, slow);
        }

        code.Load(R15, HostOperand.State(entry + TlbEntry.HostPageOffset));
        GuestInstruction copy = instruction;
        code.Cold(() =>
        {
            code.Bind(slow);
            code.MoveImmediate(Rcx, address);
            Fill(copy, copy.MemorySize | (copy.WritesMemory ? FillRequest.Write : 0), retry);
        });
        return HostOperand.Mem(R15, (int)(address & (PageSize - 1)));
    }

    /// <param name="address">Emits the linear address into RCX; leaves the flags alone.</param>
    /// <param name="based">The operand as base + R15 + displacement, with R15 what the table adds to a linear address; null for RCX + R15.</param>
    /// <param name="groupSize">Bytes of the group whose head this is; 0 for none.</param>
    private HostOperand CheckGeneral(in GuestInstruction instruction, Action address, HostOperand? based, int groupSize = 0)
    {
        _held = NoGroup;
        int table = NativeLayout.Table(_context, instruction.WritesMemory);
        int size = groupSize != 0 ? groupSize : instruction.MemorySize;
        int retry = code.Here();
        int slow = code.NewLabel();
        int misaligned = code.NewLabel();
        bool live = instruction.LiveBefore != ArithmeticFlag.None;
        address();
        if (!live)
        {
            OffsetInPage(table);
            code.Arithmetic(7, true, HostOperand.Reg(Rcx), PageSize - size);
            code.JumpIf(HostCondition.Above, slow);
            if (instruction.Alignment > 1)
            {
                code.Op(0, false, 0xF6, 0, HostOperand.Reg(Rcx)); // TEST cl, imm8
                code.Byte((byte)(instruction.Alignment - 1));
                code.JumpIf(HostCondition.NotEqual, misaligned);
            }

            code.Load(R15, HostOperand.State(table + (based is null ? TlbEntry.HostPageOffset : TlbEntry.AddendOffset), R15));
        }
        else
        {
            // One compare is enough: were the first byte in the page before, its index would have led to another entry.
            TableIndex(code);
            code.Load(R15, HostOperand.State(table + TlbEntry.TagOffset, R15, 3));
            code.Lea(Rcx, HostOperand.Mem(Rcx, R15, 0, size - 1));
            JumpUnlessFirstPage(code, slow);
            address();
            if (instruction.Alignment > 1)
            {
                code.ParallelExtract(Rcx, Rcx, HostOperand.State(instruction.Alignment == 16 ? NativeLayout.Mask16 : NativeLayout.Mask32));
                code.SkipIfRcxZero(() => code.Jump(misaligned));
                address();
            }

            TableIndex(code);
            code.Load(R15, HostOperand.State(table + TlbEntry.AddendOffset, R15, 3));
        }

        GuestInstruction copy = instruction;
        code.Cold(() =>
        {
            int tooLong = groupSize != 0 ? code.NewLabel() : NoLabel;
            code.Bind(slow);
            if (live)
            {
                address();
            }
            else
            {
                if (groupSize != 0)
                {
                    // It begins in the page, and ends in the next.
                    code.Arithmetic(7, true, HostOperand.Reg(Rcx), PageSize);
                    code.JumpIf(HostCondition.Below, tooLong);
                }

                // SUB: back from the offset to the address.
                code.Op(0, true, 0x2B, Rcx, HostOperand.State(table + TlbEntry.TagOffset, R15));
            }

            Fill(copy, size | (copy.WritesMemory ? FillRequest.Write : 0) | ((copy.Alignment - 1) << FillRequest.AlignmentShift), retry, tooLong);
            if (copy.Alignment > 1)
            {
                code.Bind(misaligned);
                leave(copy);
            }
        });
        return based ?? HostOperand.Mem(R15, Rcx, 0, 0);
    }

    /// <summary>R15 = place of the entry for the address in RCX, and RCX = the address's offset in the entry's page, no offset when it lies in another. Flags are lost.</summary>
    private void OffsetInPage(int table)
    {
        code.RotateRight(R15, Rcx, 12 - TlbEntry.Shift);
        code.Arithmetic(4, false, HostOperand.Reg(R15), IndexMask);
        code.Op(0, true, 0x03, Rcx, HostOperand.State(table + TlbEntry.TagOffset, R15));
    }

    /// <summary>Fills the tables for RCX and tries again.</summary>
    /// <param name="tooLong">For a group's head: label for the way on when its bytes are not in one page, or the tables cannot have them.</param>
    private void Fill(in GuestInstruction instruction, int request, int retry, int tooLong = NoLabel)
    {
        code.MoveImmediate(R15, (ulong)request);
        code.CallThrough(HostOperand.State((request & FillRequest.Stack) != 0 ? NativeLayout.StackThunk(_context) : NativeLayout.FillThunk));
        code.SkipIfRcxZero(() => code.Jump(retry));
        if (tooLong == NoLabel)
        {
            leave(instruction);
        }
        else
        {
            code.Bind(tooLong);
            leaveGroup(instruction);
        }
    }
}
