using Iced.Intel;

namespace Shinano.Cpu.Interpreter;

/// <summary>Turns Iced's operands into the fields of an op.</summary>
internal static class OperandReader
{
    /// <summary>Byte offset of a general register in <see cref="Core"/>.</summary>
    public static byte Offset(Register register) => register switch
    {
        Register.AH or Register.CH or Register.DH or Register.BH => (byte)(((register - Register.AH) * 8) + 1),

        // Iced numbers byte registers in the order of its enumeration, where AH to BH come before SPL.
        >= Register.SPL and <= Register.R15L => (byte)((register - Register.SPL + 4) * 8),
        _ => (byte)(register.GetNumber() * 8),
    };

    /// <summary>The linear-address slot of a segment's base: zero for all but FS and GS (SDM 1 §3.4.2.1).</summary>
    public static byte SegmentSlot(Register segment) => segment switch
    {
        Register.FS => CoreSlots.Fs,
        Register.GS => CoreSlots.Gs,
        _ => CoreSlots.Zero,
    };

    /// <summary>Fills in the memory operand, if there is one.</summary>
    public static AddressKind ReadMemory(in Instruction instruction, ref Op op)
    {
        op.Base = op.Index = op.Segment = CoreSlots.Zero;
        bool memory = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            memory |= instruction.GetOpKind(i) == OpKind.Memory;
        }

        if (!memory)
        {
            return AddressKind.None;
        }

        op.Flags |= OpFlags.Memory;
        Register start = instruction.MemoryBase;
        Register index = instruction.MemoryIndex;
        op.Segment = SegmentSlot(instruction.MemorySegment);
        op.Disp = (long)instruction.MemoryDisplacement64;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            // The decoder's IP is the offset in the page, so the displacement comes out relative to the page.
            op.Base = CoreSlots.Page;
            op.Disp = (long)instruction.IPRelativeMemoryAddress;
        }
        else if (start != Register.None)
        {
            op.Base = (byte)start.GetNumber();
        }

        if (index != Register.None)
        {
            op.Index = (byte)index.GetNumber();
            op.Scale = (byte)System.Numerics.BitOperations.TrailingZeroCount(instruction.MemoryIndexScale);
        }

        // SS is the segment of RSP and RBP; prefixes for ES, CS, SS and DS mean nothing in 64-bit mode (SDM 1 §3.4.2.1).
        if (start is Register.RSP or Register.RBP or Register.ESP or Register.EBP && op.Segment == CoreSlots.Zero)
        {
            op.Flags |= OpFlags.Stack;
        }

        bool address32 = start.GetSize() == 4 || index.GetSize() == 4
            || (start == Register.None && index == Register.None && instruction.MemoryDisplSize == 4 && IsDisplacement32(instruction));
        if (address32)
        {
            op.Flags |= OpFlags.Address32;
        }

        return address32 || op.Segment != CoreSlots.Zero ? AddressKind.Full
            : index != Register.None ? AddressKind.Index
            : AddressKind.Base;
    }

    /// <summary>Register operands in order into R0, R1, R2; operands of other kinds leave their place.</summary>
    public static void ReadRegisters(in Instruction instruction, ref Op op)
    {
        for (int i = 0; i < Math.Min(3, instruction.OpCount); i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register)
            {
                continue;
            }

            byte offset = Offset(instruction.GetOpRegister(i));
            switch (i)
            {
                case 0:
                    op.R0 = offset;
                    break;
                case 1:
                    op.R1 = offset;
                    break;
                default:
                    op.R2 = offset;
                    break;
            }
        }
    }

    /// <summary>Bytes of an operand that is a register or memory.</summary>
    public static int Size(in Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Memory ? instruction.MemorySize.GetSize() : instruction.GetOpRegister(operand).GetSize();

    public static bool IsImmediate(OpKind kind) => kind is OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate64
        or OpKind.Immediate8to16 or OpKind.Immediate8to32 or OpKind.Immediate8to64 or OpKind.Immediate32to64;

    // Iced gives an absolute 32-bit address size as a displacement of 4 bytes, a 64-bit one (sign-extended) as one of 8.
    private static bool IsDisplacement32(in Instruction instruction) => instruction.MemoryDisplSize == 4;
}
