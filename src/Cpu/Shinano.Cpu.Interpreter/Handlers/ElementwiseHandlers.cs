using Shinano.Cpu.HostCode;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Gathers and masked vector accesses. Imm is the instruction's number.</summary>
internal static unsafe class ElementwiseHandlers
{
    public static Op* Execute(Core* c, Op* op) => Run(c, op, InterpreterCpu.Of(c).Engine.Selector.Elementwise((int)op->Imm));

    /// <summary>The same for a <see cref="PackedInstruction"/>.</summary>
    public static Op* ExecutePacked(Core* c, Op* op)
    {
        _ = ElementwiseInstruction.TryCreate(PackedInstruction.Unpack(op), out ElementwiseInstruction instruction);
        return Run(c, op, instruction);
    }

    private static Op* Run(Core* c, Op* op, ElementwiseInstruction instruction)
    {
        if (instruction.Unit == HostUnit.Avx ? !VectorState.CheckAvx(c, op) : !VectorState.CheckSse(c, op))
        {
            return &c->ExitOp;
        }

        // Masked accesses and gathers are not checked for alignment (AMD's CPUs do so; the SDM leaves it open).
        c->Inspected &= ~CarefulReasons.AlignmentChecks;
        ElementMemory memory = new(c, op);
        return instruction.Execute(&c->Cpu, FullForm.Offset(c, op), ((ulong*)c)[op->Segment], ref memory) switch
        {
            HostStatus.Done => op + 1,
            null => &c->ExitOp,
            _ => FlowHandlers.Fault(c, op, ExceptionVector.X87FloatingPoint, 0),
        };
    }

    /// <summary>Guest memory by element; a failing access has prepared the exit.</summary>
    private readonly ref struct ElementMemory(Core* c, Op* op) : IElementMemory
    {
        public bool TryLoad(ulong linear, int size, out ulong value)
        {
            if (size == 4)
            {
                return GuestAccess.Load<Size32>(c, op, linear, out value);
            }

            return GuestAccess.Load<Size64>(c, op, linear, out value);
        }

        public bool TryProbeStore(ulong linear, int size)
        {
            bool possible = GuestAccess.BeginUpdate(c, op, linear, size) is not null;
            GuestAccess.EndUpdate(c);
            return possible;
        }

        public bool TryStore(ulong linear, int size, ulong value) => size switch
        {
            1 => GuestAccess.Store<Size8>(c, op, linear, value),
            4 => GuestAccess.Store<Size32>(c, op, linear, value),
            _ => GuestAccess.Store<Size64>(c, op, linear, value),
        };
    }
}
