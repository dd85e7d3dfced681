using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>
/// What the architecture leaves undefined, and therefore is not compared. The flags of most instructions come from the decoder's tables, which follow
/// the "Flags Affected" sections of SDM 2; here are those that depend on operands.
/// </summary>
internal static class UndefinedResults
{
    private const ulong Carry = 1;
    private const ulong Adjust = 0x10;
    private const ulong Overflow = 0x800;
    private const ulong Arithmetic = 0x8D5;

    /// <summary>RFLAGS bits that an instruction leaves undefined, from its state before.</summary>
    public static ulong Flags(in Instruction instruction, MachineCase before)
    {
        ulong mask = ToRflags(instruction.RflagsUndefined);
        switch (instruction.Mnemonic)
        {
            // SDM 2B SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR: a masked count of zero changes nothing; OF is defined for a count of one.
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
                {
                    int size = OperandSize(instruction);
                    int count = Count(instruction, before, 1) & (size == 8 ? 63 : 31);
                    bool rotate = instruction.Mnemonic is Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr;
                    mask = count == 0 ? 0 : (rotate ? 0 : Adjust) | (count == 1 ? 0 : Overflow);

                    // SHL/SHR: CF is undefined for counts greater than or equal to the size.
                    if (!rotate && instruction.Mnemonic != Mnemonic.Sar && count >= size * 8)
                    {
                        mask |= Carry;
                    }

                    break;
                }

            // SDM 2B SHLD, SHRD: a count beyond the operand makes everything undefined.
            case Mnemonic.Shld or Mnemonic.Shrd:
                {
                    int size = OperandSize(instruction);
                    int count = Count(instruction, before, 2) & (size == 8 ? 63 : 31);
                    mask = count == 0 ? 0 : Adjust | (count == 1 ? 0 : Overflow) | (count > size * 8 ? Arithmetic : 0);
                    break;
                }
        }

        return mask;
    }

    /// <summary>RFLAGS bits that an instruction may leave undefined, whatever its operands: for sequences.</summary>
    public static ulong FlagsOfAny(in Instruction instruction) => instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd
        ? Arithmetic
        : ToRflags(instruction.RflagsUndefined) | (instruction.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr ? Carry | Adjust | Overflow
            : instruction.Mnemonic is Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr ? Adjust | Overflow : 0);

    /// <summary>RFLAGS bits that an instruction defines whatever its operands: not so a shift by zero or a repetition of none.</summary>
    public static ulong FlagsSurelyDefined(in Instruction instruction) =>
        instruction.HasRepPrefix || instruction.HasRepnePrefix || instruction.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar
            or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd
            ? 0
            : ToRflags(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet);

    /// <summary>The whole result is undefined: nothing but that it does not fault is known.</summary>
    public static bool Everything(in Instruction instruction, MachineCase before)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Shld or Mnemonic.Shrd:
                return OperandSize(instruction) == 2 && (Count(instruction, before, 2) & 31) > 16;

            // SDM 2A BSWAP: a 16-bit register gives an undefined result.
            case Mnemonic.Bswap:
                return OperandSize(instruction) == 2;
            default:
                return false;
        }
    }

    /// <summary>Whether <see cref="Everything"/> can be true of an instruction in some state.</summary>
    public static bool MayBeEverything(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd or Mnemonic.Bswap && OperandSize(instruction) == 2;

    private static int OperandSize(in Instruction instruction) =>
        instruction.Op0Kind == OpKind.Memory ? instruction.MemorySize.GetSize() : instruction.Op0Register.GetSize();

    private static int Count(in Instruction instruction, MachineCase before, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register ? (byte)before.Gpr[1] : instruction.Immediate8;

    /// <summary>The decoder's flags as RFLAGS bits.</summary>
    public static ulong ToRflags(RflagsBits bits)
    {
        ulong mask = 0;
        mask |= (bits & RflagsBits.OF) != 0 ? 0x800UL : 0;
        mask |= (bits & RflagsBits.SF) != 0 ? 0x80UL : 0;
        mask |= (bits & RflagsBits.ZF) != 0 ? 0x40UL : 0;
        mask |= (bits & RflagsBits.AF) != 0 ? 0x10UL : 0;
        mask |= (bits & RflagsBits.CF) != 0 ? 1UL : 0;
        mask |= (bits & RflagsBits.PF) != 0 ? 4UL : 0;
        return mask;
    }
}
