namespace Shinano.Cpu.Translator;

/// <summary>
/// Which arithmetic flags must survive in the host's register, and where they must be put into the state. Between blocks flags live in the state, if anybody may read
/// them; the last instruction before such an exit that changes them is followed by the save.
/// </summary>
internal static class FlagLiveness
{
    /// <summary>Fills in <see cref="GuestInstruction.LiveBefore"/>, <see cref="GuestInstruction.SaveAfter"/> and <see cref="GuestBlock.LiveAtEntry"/>.</summary>
    public static void Analyse(GuestBlock block, BlockScanner scanner)
    {
        ArithmeticFlag live = ArithmeticFlag.None;
        bool mustSave = block.EndsForeign || scanner.MayReadFlags(block, block.EndRip);
        for (int i = block.Count - 1; i >= 0; i--)
        {
            ref GuestInstruction instruction = ref block[i];
            switch (instruction.Kind)
            {
                case InstructionKind.Jump:
                    mustSave = scanner.MayReadFlags(block, instruction.Code.NearBranchTarget);
                    live = ArithmeticFlag.None;
                    break;
                case InstructionKind.JumpIf:
                    mustSave |= scanner.MayReadFlags(block, instruction.Code.NearBranchTarget);
                    break;
                case InstructionKind.Call:
                    // What follows a call loads flags anew, if it needs them.
                    mustSave = scanner.MayReadFlags(block, instruction.Code.NearBranchTarget);
                    instruction.LoadAfter = live != ArithmeticFlag.None;
                    live = ArithmeticFlag.None;
                    break;
                case InstructionKind.CallIndirect:
                    mustSave = true;
                    instruction.LoadAfter = live != ArithmeticFlag.None;
                    live = ArithmeticFlag.None;
                    break;
                case InstructionKind.JumpIndirect or InstructionKind.Return or InstructionKind.Syscall:
                    mustSave = true;
                    live = ArithmeticFlag.None;
                    break;
            }

            if (instruction.FlagsModified != ArithmeticFlag.None)
            {
                instruction.SaveAfter = mustSave;
                if (mustSave)
                {
                    // What this instruction keeps is saved too, so it must be in the host's register.
                    live = ArithmeticFlag.All;
                }

                mustSave = false;
            }

            live = (live & ~instruction.FlagsReplaced) | instruction.FlagsRead;
            instruction.LiveBefore = live;
        }

        block.LiveAtEntry = live;
    }
}
