using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>Emits the code of a block: its entry, its instructions, its exits.</summary>
internal sealed class BlockEmitter
{
    private readonly ILinkNumbers _numbers;
    private readonly EmittedCode _output;
    private readonly HostAssembler _code;
    private readonly MemoryEmitter _memory;
    private readonly InstructionEmitter _instructions;
    private GuestBlock _block = null!;

    /// <summary>Where the block looks whether attention is wanted, its vector registers loaded.</summary>
    private int _poll;
    private VectorUse _vectors;

    /// <summary>Instructions completed that no exit has counted yet.</summary>
    private int _uncounted;

    public BlockEmitter(EmittedCode output, ILinkNumbers numbers)
    {
        _output = output;
        _code = output.Assembler;
        _numbers = numbers;
        _memory = new MemoryEmitter(_code, EmitForeignExit, EmitUngroupedExit);
        _instructions = new InstructionEmitter(_code, _memory);
    }

    /// <summary>Emits an analysed block into <see cref="EmittedCode"/>.</summary>
    public void Emit(GuestBlock block)
    {
        _block = block;
        _uncounted = 0;
        _output.Clear();
        _memory.Start(block.Context);
        EmitEntry();
        for (int i = 0; i < block.Count; i++)
        {
            ref GuestInstruction instruction = ref block[i];
            if (block.Crosses && i == block.Count - 1)
            {
                EmitNextPageCheck(instruction);
            }

            EmitInstruction(instruction);
            if (instruction.SaveAfter)
            {
                FlagEmitter.Save(_code);
            }
        }

        if (block.EndsForeign)
        {
            EmitCount();
            EmitExit(NativeExit.Interpret, block.EndRip);
        }
        else if (block.Count == 0 || !Ends(block[block.Count - 1].Kind))
        {
            EmitCount();
            EmitJump(block.Rip, block.EndRip);
        }
    }

    private static bool Ends(InstructionKind kind) =>
        kind is InstructionKind.Jump or InstructionKind.JumpIndirect or InstructionKind.Return or InstructionKind.Syscall;

    private void EmitEntry()
    {
        _vectors = UseOf(_block);
        _output.Vectors = _vectors;
        EmitVectorEntry();
        _poll = _code.Here();
        int attention = _code.NewLabel();

        // TEST byte [attention], mask: every loop passes here, but jumps forwards within a page go behind it.
        _code.Op(0, false, 0xF6, 0, HostOperand.State(NativeLayout.Attention));
        _code.Byte(AttentionBits.Wanted);
        _code.JumpIf(HostCondition.NotEqual, attention);
        _code.Cold(() =>
        {
            _code.Bind(attention);
            EmitExit(NativeExit.Lookup, _block.Rip);
        });
        _output.Body = _code.Here();
        if (_block.LiveAtEntry != ArithmeticFlag.None)
        {
            FlagEmitter.Load(_code);
        }
    }

    private static VectorUse UseOf(GuestBlock block)
    {
        VectorUse use = VectorUse.None;
        for (int i = 0; i < block.Count; i++)
        {
            VectorUse one = block[i].IsVex ? VectorUse.Vex : block[i].IsVector ? VectorUse.Legacy : VectorUse.None;
            use = one > use ? one : use;
        }

        return use;
    }

    private void EmitVectorEntry()
    {
        if (_vectors == VectorUse.None)
        {
            return;
        }

        int load = _code.NewLabel();
        _code.CompareByte(HostOperand.State(NativeLayout.UsedVector), 0);
        _code.JumpIf(HostCondition.Equal, load);
        int back = _code.Here();
        if (_vectors == VectorUse.Vex)
        {
            _code.StoreImmediate8(HostOperand.State(NativeLayout.UsedVex), 1);
        }

        _code.Cold(() =>
        {
            _code.Bind(load);
            _code.CallThrough(HostOperand.State(NativeLayout.LoadVectorThunk));
            _code.Jump(back);
        });
    }

    private void EmitInstruction(in GuestInstruction instruction)
    {
        switch (instruction.Kind)
        {
            case InstructionKind.JumpIf:
                CountThrough();
                // The enumeration is in the encoding's order, after None.
                EmitJumpIf((int)instruction.Code.ConditionCode - 1, instruction.Rip, instruction.Code.NearBranchTarget);
                break;
            case InstructionKind.Jump:
                CountThrough();
                EmitJump(instruction.Rip, instruction.Code.NearBranchTarget);
                break;
            case InstructionKind.JumpIndirect:
                EmitProbe(instruction, () =>
                {
                    Count(_uncounted + 1);
                    _code.JumpThrough(HostOperand.State(NativeLayout.FoundCode));
                });
                CountThrough();
                _code.JumpThrough(JumpCacheProbe.Code(NativeLayout.JumpCache(_block.Context)));
                break;
            case InstructionKind.Call:
                _instructions.PushReturnAddress(instruction);
                CountThrough();
                EmitCall(instruction);
                break;
            case InstructionKind.CallIndirect:
                int found = _code.NewLabel();
                EmitProbe(instruction, () =>
                {
                    _code.Load(HostRegisters.Rcx, HostOperand.State(NativeLayout.FoundCode));
                    _code.Jump(found);
                });
                _code.Load(HostRegisters.Rcx, JumpCacheProbe.Code(NativeLayout.JumpCache(_block.Context)));
                _code.Bind(found);
                _code.Store(HostOperand.State(NativeLayout.Temporary), HostRegisters.Rcx);
                _instructions.PushReturnAddress(instruction);
                CountThrough();
                EmitDepthCheck();
                _code.CallThrough(HostOperand.State(NativeLayout.Temporary));
                EmitReturnSite(instruction);
                break;
            case InstructionKind.Return:
                _instructions.PopReturnAddress(instruction);
                _code.StoreImmediate(HostOperand.State(NativeLayout.ReturnRip), instruction.Rip, HostRegisters.R15);
                CountThrough();
                _code.Byte(0xC3);
                break;
            case InstructionKind.Syscall:
                CountThrough();
                EmitExit(NativeExit.Syscall, instruction.NextRip);
                break;
            default:
                _instructions.Emit(instruction);
                _uncounted++;
                break;
        }
    }

    /// <param name="from">Address of the jump.</param>
    private void EmitJump(ulong from, ulong target)
    {
        if (target == _block.Rip)
        {
            _code.Jump(_poll);
            return;
        }

        int mapping = EmitMappingCheck(target, out int stub);
        AddLink(_code.PatchableJump(stub), stub, target, mapping, IsForward(from, target));
    }

    private void EmitJumpIf(int condition, ulong from, ulong target)
    {
        if (target == _block.Rip)
        {
            _code.JumpIf(condition, _poll);
        }
        else if (IsSamePage(target))
        {
            int stub = _code.NewLabel();
            AddLink(_code.PatchableJumpIf(condition, stub), stub, target, -1, IsForward(from, target));
        }
        else
        {
            int taken = _code.NewLabel();
            _code.JumpIf(condition, taken);
            _code.Cold(() =>
            {
                _code.Bind(taken);
                EmitJump(from, target);
            });
        }
    }

    private void EmitCall(in GuestInstruction instruction)
    {
        ulong target = instruction.Code.NearBranchTarget;
        EmitDepthCheck();
        int mapping = EmitMappingCheck(target, out int unmapped);
        int stub = _code.NewLabel();
        AddLink(_code.PatchableCall(stub), stub, target, mapping, isForward: false);
        int back = _code.Here();
        if (mapping >= 0)
        {
            // The stub goes on at the target, whose return wants its address on the host's stack.
            _code.Cold(() =>
            {
                _code.Bind(unmapped);
                _code.Call(stub);
                _code.Jump(back);
            });
        }

        EmitReturnSite(instruction);
    }

    /// <summary>
    /// Looks an indirect target up before anything is committed, in the jump cache and then in C#; one without code is the interpreter's, with the faults that it
    /// may make.
    /// </summary>
    /// <param name="instruction">The jump or call.</param>
    /// <param name="found">Emits, far from here, where to go on when C# has found code.</param>
    private void EmitProbe(in GuestInstruction instruction, Action found)
    {
        _instructions.LoadTarget(instruction);
        int miss = _code.NewLabel();
        JumpCacheProbe.Emit(_code, NativeLayout.JumpCache(_block.Context), NativeState.JumpEntries, miss);
        _memory.ForgetAddend();
        GuestInstruction copy = instruction;
        _code.Cold(() =>
        {
            int none = _code.NewLabel();
            _code.Bind(miss);
            _code.MoveImmediate(HostRegisters.R15, FillRequest.Jump);
            _code.CallThrough(HostOperand.State(NativeLayout.FillThunk));
            _code.Arithmetic(7, true, HostOperand.Reg(HostRegisters.Rcx), 0);
            _code.JumpIf(HostCondition.Equal, none);
            found();
            _code.Bind(none);
            EmitForeignExit(copy);
        });
    }

    /// <summary>Where a call comes back to: RCX is the address that the guest's return took.</summary>
    private void EmitReturnSite(in GuestInstruction instruction)
    {
        ulong expected = instruction.NextRip;
        if ((long)expected == (int)expected)
        {
            _code.Arithmetic(7, true, HostOperand.Reg(HostRegisters.Rcx), (int)expected);
        }
        else
        {
            _code.MoveImmediate(HostRegisters.R15, expected);
            _code.Op(0, true, 0x3B, HostRegisters.Rcx, HostOperand.Reg(HostRegisters.R15));
        }

        int other = _code.NewLabel();
        _code.JumpIf(HostCondition.NotEqual, other);
        _code.Cold(() =>
        {
            _code.Bind(other);
            _code.JumpThrough(HostOperand.State(NativeLayout.ReturnThunk(_block.Context)));
        });
        if (instruction.LoadAfter)
        {
            FlagEmitter.Load(_code);
        }
    }

    /// <summary>Starts the host stack of calls anew when it is full; older returns then go through the jump cache.</summary>
    private void EmitDepthCheck()
    {
        int full = _code.NewLabel();
        _code.Op(0, true, 0x3B, HostRegisters.Rsp, HostOperand.State(NativeLayout.CallStackLimit));
        _code.JumpIf(HostCondition.Below, full);
        int back = _code.Here();
        _code.Cold(() =>
        {
            _code.Bind(full);
            _code.Load(HostRegisters.Rsp, HostOperand.State(NativeLayout.CallStackBase));
            _code.Jump(back);
        });
    }

    /// <summary>For a target in another page: goes to the stub unless its mapping is known to hold.</summary>
    private int EmitMappingCheck(ulong target, out int stub)
    {
        stub = _code.NewLabel();
        if (IsSamePage(target))
        {
            return -1;
        }

        if (!_numbers.TryGetMapping(target, _block.Context, out int mapping))
        {
            // Mapping 0 never holds.
            mapping = 0;
        }

        _code.CompareByte(HostOperand.State(NativeLayout.ValidMappings + mapping), 0);
        _code.JumpIf(HostCondition.Equal, stub);
        return mapping;
    }

    /// <summary>A direct jump whose target is not linked, or not known to be mapped: C# finds the code and makes the link, or the interpreter goes on there.</summary>
    private void AddLink(int field, int stub, ulong target, int mapping, bool isForward)
    {
        int number = _numbers.NextLink();
        _output.Links.Add(new EmittedCode.LinkSite(number, field, stub, target, mapping, isForward));
        _code.Cold(() =>
        {
            _code.Bind(stub);
            _code.StoreImmediate(HostOperand.State(NativeLayout.Rip), target, HostRegisters.Rcx);
            _code.MoveImmediate(HostRegisters.Rcx, (ulong)number);
            _code.MoveImmediate(HostRegisters.R15, FillRequest.Link);
            _code.CallThrough(HostOperand.State(NativeLayout.FillThunk));
            _code.SkipIfRcxZero(() => _code.JumpThrough(HostOperand.State(NativeLayout.FoundCode)));
            EmitExit(NativeExit.Interpret, target);
        });
    }

    /// <summary>The bytes of an instruction that crosses into the next page are only its own while that page's mapping holds. Leaves the flags alone.</summary>
    private void EmitNextPageCheck(in GuestInstruction instruction)
    {
        int unknown = _code.NewLabel();
        _code.Op(0, false, 0x0FB6, HostRegisters.Rcx, HostOperand.State(NativeLayout.ValidMappings + _block.NextMapping)); // MOVZX
        _code.Lea(HostRegisters.Rcx, HostOperand.Mem(HostRegisters.Rcx, -1));
        _code.SkipIfRcxZero(() => _code.Jump(unknown));
        GuestInstruction copy = instruction;
        _code.Cold(() =>
        {
            _code.Bind(unknown);
            _code.StoreImmediate(HostOperand.State(NativeLayout.ExitArgument), (ulong)_block.NextMapping, HostRegisters.Rcx);
            EmitLeave(copy, NativeExit.NextPage);
        });
    }

    /// <summary>Leaves to the interpreter before an instruction that turned out to be more than its translation can do.</summary>
    private void EmitForeignExit(in GuestInstruction instruction) => EmitLeave(instruction, NativeExit.Interpret);

    /// <summary>Goes on before an instruction in code without groups.</summary>
    private void EmitUngroupedExit(in GuestInstruction instruction)
    {
        EmitFlagsAndCount(instruction);
        _code.MoveImmediate(HostRegisters.Rcx, instruction.Rip);
        _code.JumpThrough(HostOperand.State(NativeLayout.UngroupThunk(_block.Context)));
    }

    private void EmitLeave(in GuestInstruction instruction, NativeExit reason)
    {
        EmitFlagsAndCount(instruction);
        EmitExit(reason, instruction.Rip);
    }

    /// <summary>What a block owes to the next code when it ends before an instruction.</summary>
    private void EmitFlagsAndCount(in GuestInstruction instruction)
    {
        if (instruction.LiveBefore != ArithmeticFlag.None)
        {
            FlagEmitter.Save(_code);
        }

        Count(_uncounted);
    }

    private void EmitExit(NativeExit reason, ulong rip)
    {
        _code.StoreImmediate(HostOperand.State(NativeLayout.Rip), rip, HostRegisters.Rcx);
        _code.StoreImmediate(HostOperand.State(NativeLayout.ExitReason), (ulong)reason, HostRegisters.Rcx);
        _code.JumpThrough(HostOperand.State(NativeLayout.ExitThunk));
    }

    private void EmitCount()
    {
        Count(_uncounted);
        _uncounted = 0;
    }

    /// <summary>Counts up to the present instruction, which is an exit.</summary>
    private void CountThrough()
    {
        _uncounted++;
        EmitCount();
    }

    /// <summary>PADDQ mm0, [number].</summary>
    private void Count(int instructions)
    {
        if (instructions != 0)
        {
            _code.Op(0, false, 0x0FD4, 0, HostOperand.State(NativeLayout.Numbers + (8 * instructions)));
        }
    }

    /// <summary>Jumps that cannot be part of a loop by themselves: the next page's first block, at the latest, looks whether attention is wanted.</summary>
    private bool IsForward(ulong from, ulong target) => target > from && IsSamePage(target);

    private bool IsSamePage(ulong target) => ((target ^ _block.Rip) & ~(ulong)(GuestMemory.PageSize - 1)) == 0;
}
