using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Interpreter;

/// <summary>Chooses the handler of an instruction and fills in its op.</summary>
/// <param name="features">What is advertised; an instruction outside of it becomes #UD.</param>
internal sealed unsafe class OpSelector(CpuFeatures features)
{
    private readonly HostInstructionCompiler _compiler = new();
    private readonly NumberedTable<HostStub> _stubs = new();
    private readonly NumberedTable<ElementwiseInstruction> _elementwise = new();

    /// <summary>The stub of a number that an op carries.</summary>
    public HostStub Stub(int number) => _stubs[number];

    /// <summary>The stub of an instruction that got no number.</summary>
    public HostStub Stub(in Instruction instruction) =>
        _compiler.TryCompile(instruction, out HostStub stub) ? stub : throw new InvalidOperationException($"{instruction.Code} was host code before");

    /// <summary>The element-wise instruction of a number that an op carries.</summary>
    public ElementwiseInstruction Elementwise(int number) => _elementwise[number];

    /// <returns>Whether the block ends with this instruction.</returns>
    public bool Select(in Instruction instruction, ref Op op)
    {
        AddressKind address = OperandReader.ReadMemory(instruction, ref op);
        if (instruction.HasLockPrefix)
        {
            op.Flags |= OpFlags.Lock;
        }

        CpuFeatures needed = InstructionFeatures.Of(instruction);
        Mnemonic mnemonic = instruction.Mnemonic;

        // Without their groups these encodings are BSF and BSR with an ignored prefix (SDM 2, TZCNT, LZCNT).
        if (mnemonic == Mnemonic.Tzcnt && (features & CpuFeatures.Bmi1) == 0)
        {
            mnemonic = Mnemonic.Bsf;
            needed = CpuFeatures.None;
        }
        else if (mnemonic == Mnemonic.Lzcnt && (features & CpuFeatures.Lzcnt) == 0)
        {
            mnemonic = Mnemonic.Bsr;
            needed = CpuFeatures.None;
        }

        Selection selection = Selection.NotMine;
        if ((needed & ~features) == 0)
        {
            selection = FlowSelector.Select(instruction, ref op);
            if (selection == Selection.NotMine)
            {
                selection = IntegerSelector.Select(instruction, mnemonic, address, ref op);
            }

            if (selection == Selection.NotMine)
            {
                selection = BitSelector.Select(instruction, mnemonic, ref op);
            }

            if (selection == Selection.NotMine)
            {
                selection = SystemSelector.Select(instruction, ref op);
            }

            if (selection == Selection.NotMine)
            {
                selection = VectorSelector.Select(instruction, ref op);
            }

            if (selection == Selection.NotMine)
            {
                selection = SelectHostCode(instruction, ref op);
            }
        }

        if (selection == Selection.NotMine)
        {
            op.Handler = &SystemHandlers.Undefined;
            return true;
        }

        return selection == Selection.Ends;
    }

    private Selection SelectHostCode(in Instruction instruction, ref Op op)
    {
        if (ElementwiseInstruction.TryCreate(instruction, out ElementwiseInstruction elementwise))
        {
            if ((elementwise.Feature & ~features) != 0)
            {
                return Selection.NotMine;
            }

            // The interpreter's address is that of element 0 without its index; MASKMOVDQU's operand is implicit.
            if (instruction.IsVsib)
            {
                op.Index = CoreSlots.Zero;
                op.Scale = 0;
            }
            else if (instruction.Op0Kind is OpKind.MemorySegRDI or OpKind.MemorySegEDI)
            {
                op.Base = (byte)Register.RDI.GetNumber();
                op.Segment = OperandReader.SegmentSlot(instruction.MemorySegment);
                op.Flags |= instruction.Op0Kind == OpKind.MemorySegEDI ? OpFlags.Address32 : OpFlags.None;
            }

            op.Imm = _elementwise.NumberOf(elementwise);
            op.Handler = &ElementwiseHandlers.Execute;
            if (op.Imm == NumberedTable<ElementwiseInstruction>.NotKept)
            {
                PackedInstruction.Pack(instruction, ref op);
                op.Handler = &ElementwiseHandlers.ExecutePacked;
            }

            return Selection.Continues;
        }

        if (!_compiler.TryCompile(instruction, out HostStub stub) || (stub.Feature & ~features) != 0)
        {
            return Selection.NotMine;
        }

        op.Imm = _stubs.NumberOf(stub);
        op.Handler = &HostHandlers.Execute;
        if (op.Imm == NumberedTable<HostStub>.NotKept)
        {
            PackedInstruction.Pack(instruction, ref op);
            op.Handler = &HostHandlers.ExecutePacked;
        }

        if (instruction.RflagsModified != RflagsBits.None || instruction.RflagsRead != RflagsBits.None)
        {
            op.Flags |= OpFlags.Variant;
        }

        return Selection.Continues;
    }
}
