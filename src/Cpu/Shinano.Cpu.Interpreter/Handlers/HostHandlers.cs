using Shinano.Cpu.HostCode;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Instructions that the host CPU executes in a stub: x87, MMX, SSE, AVX. Imm is the stub's number.</summary>
internal static unsafe class HostHandlers
{
    public static Op* Execute(Core* c, Op* op) => Run(c, op, InterpreterCpu.Of(c).Engine.Selector.Stub((int)op->Imm));

    /// <summary>The same for a <see cref="PackedInstruction"/>.</summary>
    public static Op* ExecutePacked(Core* c, Op* op) => Run(c, op, InterpreterCpu.Of(c).Engine.Selector.Stub(PackedInstruction.Unpack(op)));

    private static Op* Run(Core* c, Op* op, HostStub stub)
    {
        bool usable = stub.Unit switch
        {
            HostUnit.X87 => VectorState.CheckX87(c, op),
            HostUnit.Wait => VectorState.CheckWait(c, op),
            HostUnit.Mmx or HostUnit.Sse => VectorState.CheckSse(c, op),
            HostUnit.Avx => VectorState.CheckAvx(c, op),
            _ => true,
        };
        if (!usable)
        {
            return &c->ExitOp;
        }

        // What x87 remembers as its last instruction.
        c->Cpu.Rip = c->PageLinear + op->Offset;

        // Before the operand's faults; a pending exception of x87 is older than them.
        if (stub.IsX87Pending(&c->Cpu))
        {
            return FlowHandlers.Fault(c, op, ExceptionVector.X87FloatingPoint, 0);
        }

        // The flags that a stub reads or writes are at their place in the state.
        bool flags = (op->Flags & OpFlags.Variant) != 0;
        if (flags)
        {
            c->Cpu.Rflags = ArithmeticFlags.ReadAll(c);
        }

        ulong address = 0;
        byte* place = null;
        int size = stub.MemorySize;
        if (size != 0)
        {
            address = FullForm.Compute(c, op);
            if ((address & (ulong)(stub.Alignment - 1)) != 0)
            {
                return FlowHandlers.Fault(c, op, ExceptionVector.GeneralProtection, 0);
            }

            // SAFETY: size bytes from the address given lie in one page of guest memory, or in the staging area of this vCPU.
            place = stub.WritesMemory ? GuestAccess.BeginUpdate(c, op, address, size) : GuestAccess.ReadPointer(c, op, address, size);
            if (place is null)
            {
                return &c->ExitOp;
            }
        }

        HostStatus status = stub.Execute(&c->Cpu, place, stub.Unit == HostUnit.X87 ? FullForm.Offset(c, op) : 0);
        GuestAccess.EndUpdate(c);
        if (status != HostStatus.Done)
        {
            return FlowHandlers.Fault(c, op, VectorOf(status), 0);
        }

        if (flags)
        {
            ArithmeticFlags.Write(c, c->Cpu.Rflags);
        }

        return op + 1;
    }

    private static ExceptionVector VectorOf(HostStatus status) => status switch
    {
        HostStatus.SimdException => ExceptionVector.SimdFloatingPoint,
        HostStatus.X87Pending => ExceptionVector.X87FloatingPoint,
        _ => ExceptionVector.GeneralProtection,
    };
}
