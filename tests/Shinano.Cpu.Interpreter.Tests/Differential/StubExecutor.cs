using System.Runtime.InteropServices;
using Iced.Intel;
using Shinano.Cpu.HostCode;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Runs cases of one instruction through a <see cref="HostStub"/>, with valid addresses only.</summary>
internal sealed unsafe class StubExecutor : ICaseExecutor, IDisposable
{
    private readonly HostInstructionCompiler _compiler = new();
    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(MachineCase.DataSize, 4096);

    public MachineCase? Run(MachineCase initial)
    {
        Instruction instruction = initial.Instructions[0];
        if (!_compiler.TryCompile(instruction, out HostStub stub))
        {
            return null;
        }

        ulong linear = MachineCase.DataBase;
        if (stub.MemorySize != 0)
        {
            int operand = Enumerable.Range(0, instruction.OpCount).First(i => instruction.GetOpKind(i) == OpKind.Memory);
            linear = instruction.GetVirtualAddress(operand, 0, (register, _, _) => register.IsSegmentRegister()
                ? register switch { Register.FS => initial.FsBase, Register.GS => initial.GsBase, _ => 0 }
                : register.GetSize() == 4 ? (uint)initial.Gpr[register.GetNumber()] : initial.Gpr[register.GetNumber()]);
            if (linear < MachineCase.DataBase || linear + (ulong)stub.MemorySize > MachineCase.DataBase + (2 * MachineCase.PageSize))
            {
                return null;
            }
        }

        // SAFETY: the operand lies inside the first two pages, as checked above.
        MachineCase result = initial.Clone();
        initial.Memory.CopyTo(new Span<byte>(_memory, MachineCase.DataSize));
        initial.Gpr.CopyTo(new Span<ulong>(_state->Gpr, 16));
        initial.Xsave.CopyTo(new Span<byte>(_state->Xsave, CpuState.XsaveSize));
        _state->Rflags = initial.Rflags;
        _state->Rip = initial.Rip;
        HostStatus status = stub.Execute(_state, _memory + (linear - MachineCase.DataBase),
            linear - (instruction.MemorySegment switch { Register.FS => initial.FsBase, Register.GS => initial.GsBase, _ => 0 }));
        new Span<byte>(_memory, MachineCase.DataSize).CopyTo(result.Memory);
        new Span<ulong>(_state->Gpr, 16).CopyTo(result.Gpr);
        new Span<byte>(_state->Xsave, CpuState.XsaveSize).CopyTo(result.Xsave);
        result.Rflags = _state->Rflags;
        result.Vector = status switch
        {
            HostStatus.SimdException => 19,
            HostStatus.Misaligned => 13,
            HostStatus.X87Pending => 16,
            _ => 3,
        };
        result.Rip = status == HostStatus.Done ? initial.Rip + (ulong)initial.Code.Length + 1 : initial.Rip;
        return result;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_state);
        NativeMemory.AlignedFree(_memory);
    }
}
