using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>Where the explicit register operands of one instruction are while it runs.</summary>
internal struct RegisterRenaming
{
    /// <summary>Guest registers without a home that get RCX or R15 for the instruction; -1 for none.</summary>
    public int Spilled0;
    public int Spilled1;
    public int Host0;
    public int Host1;

    /// <summary>AH to BH, which cannot be encoded beside a REX prefix: CL for the instruction.</summary>
    public Register HighByte;

    /// <summary>RCX is taken by one of them, or by the count of a shift.</summary>
    public bool NeedsRcx;

    /// <summary>Plans an instruction; false when it needs more scratch registers than there are.</summary>
    public static bool TryPlan(in Instruction guest, bool countInCl, bool hasMemory, out RegisterRenaming renaming)
    {
        renaming = new RegisterRenaming { Spilled0 = -1, Spilled1 = -1, HighByte = Register.None, NeedsRcx = countInCl };
        int operands = guest.OpCount - (countInCl ? 1 : 0);
        for (int i = 0; i < operands; i++)
        {
            if (guest.GetOpKind(i) != OpKind.Register || !guest.GetOpRegister(i).IsGPR())
            {
                continue;
            }

            Register register = guest.GetOpRegister(i);
            if (HostRegisters.IsHighByte(register))
            {
                if (register == renaming.HighByte && register != Register.CH && guest.Mnemonic is not (Mnemonic.Xchg or Mnemonic.Xadd))
                {
                    continue;
                }

                // One of them, and CH only to read: guest CX lives where it has no high byte.
                if (renaming.HighByte != Register.None || renaming.NeedsRcx
                    || (register == Register.CH && (i == 0 || guest.Mnemonic is Mnemonic.Xchg or Mnemonic.Xadd)))
                {
                    return false;
                }

                renaming.HighByte = register;
                renaming.NeedsRcx = true;
                continue;
            }

            int number = HostRegisters.NumberOf(register);
            if (HostRegisters.HomeOf(number) != HostRegisters.None || number == renaming.Spilled0 || number == renaming.Spilled1)
            {
                continue;
            }

            if (renaming.Spilled1 >= 0)
            {
                return false;
            }

            int host;
            if (!renaming.NeedsRcx)
            {
                host = HostRegisters.Rcx;
                renaming.NeedsRcx = true;
            }
            else if (!hasMemory && renaming.Host0 != HostRegisters.R15)
            {
                host = HostRegisters.R15;
            }
            else
            {
                return false;
            }

            if (renaming.Spilled0 < 0)
            {
                renaming.Spilled0 = number;
                renaming.Host0 = host;
            }
            else
            {
                renaming.Spilled1 = number;
                renaming.Host1 = host;
            }
        }

        return true;
    }

    /// <summary>The plan of an instruction that was found to have one.</summary>
    public static RegisterRenaming Of(in Instruction guest, bool countInCl, bool hasMemory) =>
        TryPlan(guest, countInCl, hasMemory, out RegisterRenaming renaming)
            ? renaming
            : throw new InvalidOperationException($"no scratch register left for {guest.Code}");

    /// <summary>Whether a host register stands for one without a home.</summary>
    public readonly bool Uses(int host) => (Spilled0 >= 0 && Host0 == host) || (Spilled1 >= 0 && Host1 == host);

    /// <summary>Puts the host's registers into the instruction.</summary>
    public readonly void Apply(ref Instruction host)
    {
        for (int i = 0; i < host.OpCount; i++)
        {
            if (host.GetOpKind(i) != OpKind.Register)
            {
                continue;
            }

            Register register = host.GetOpRegister(i);
            if (!register.IsGPR() || (register == Register.CL && IsCount(host, i)))
            {
                continue;
            }

            if (register == HighByte)
            {
                host.SetOpRegister(i, Register.CL);
                continue;
            }

            int number = HostRegisters.NumberOf(register);
            int home = HostRegisters.HomeOf(number);
            if (home == HostRegisters.None)
            {
                home = number == Spilled0 ? Host0 : Host1;
            }

            host.SetOpRegister(i, HostRegisters.Sized(home, register.GetSize()));
        }
    }

    private static bool IsCount(in Instruction host, int operand) => host.Code.ToOpCode().GetOpKind(operand) == OpCodeOperandKind.cl;
}
