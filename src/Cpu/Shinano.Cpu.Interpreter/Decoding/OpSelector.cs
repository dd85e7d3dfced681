using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Interpreter;

/// <summary>Chooses the handler of an instruction and fills in its op.</summary>
/// <param name="features">What is advertised; an instruction outside of it becomes #UD.</param>
internal sealed unsafe class OpSelector(CpuFeatures features)
{
    private readonly Lock _gate = new();
    private readonly HostInstructionCompiler _compiler = new();
    private readonly Dictionary<HostStub, int> _numbers = [];
    private HostStub[] _stubs = new HostStub[256];
    private int _count;

    /// <summary>The stub of a number that an op carries.</summary>
    public HostStub Stub(int number) => Volatile.Read(ref _stubs)[number];

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
                selection = MaskedMoveSelector.Select(instruction, ref op);
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
        lock (_gate)
        {
            if (!_compiler.TryCompile(instruction, out HostStub stub) || (stub.Feature & ~features) != 0)
            {
                return Selection.NotMine;
            }

            if (!_numbers.TryGetValue(stub, out int number))
            {
                number = _count++;
                if (number == _stubs.Length)
                {
                    HostStub[] larger = new HostStub[2 * number];
                    _stubs.CopyTo(larger, 0);
                    Volatile.Write(ref _stubs, larger);
                }

                _stubs[number] = stub;
                _numbers.Add(stub, number);
            }

            op.Imm = number;
            op.Handler = &HostHandlers.Execute;
            if (instruction.RflagsModified != RflagsBits.None || instruction.RflagsRead != RflagsBits.None)
            {
                op.Flags |= OpFlags.Variant;
            }

            return Selection.Continues;
        }
    }
}
