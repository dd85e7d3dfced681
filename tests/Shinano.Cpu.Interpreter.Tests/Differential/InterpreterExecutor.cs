using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Runs cases in the interpreter, in a domain whose address space looks like the oracle's.</summary>
internal sealed unsafe class InterpreterExecutor : ICaseExecutor, IDisposable
{
    private const ulong FirstFrame = 0x1000;
    private const int FrameCount = 64;
    private const ulong CodeFrame = FirstFrame + 1;
    private const ulong DataFrame = FirstFrame + 2;
    private const ulong Rights = PageTableEntry.Present | PageTableEntry.User;

    private const ulong Data = Rights | PageTableEntry.NoExecute;

    private readonly GuestMemory _memory = new(FirstFrame, FrameCount);
    private readonly ICpuEngine _engine;
    private readonly VirtualCpu _cpu;
    private readonly byte[] _codePage = new byte[MachineCase.PageSize];
    private ulong _nextFrame = DataFrame + MachineCase.DataPages;

    public InterpreterExecutor(CpuFeatures features)
    {
        _memory.AddRam(FirstFrame, FrameCount);
        _engine = TestEngine.Create(_memory, new CpuEngineSettings(GuestKind.Paravirtual, features));
        _cpu = _engine.CreateVirtualCpu();
        Map(MachineCase.CodeBase, CodeFrame, Rights);
        for (int i = 0; i < MachineCase.DataPages; i++)
        {
            Map(MachineCase.DataBase + (ulong)(i * MachineCase.PageSize), DataFrame + (ulong)i, Data | PageTableEntry.Writable);
        }
    }

    public MachineCase? Run(MachineCase initial)
    {
        Array.Fill(_codePage, (byte)0xCC);
        initial.Code.CopyTo(_codePage, initial.CodeOffset);
        _ = _memory.TryWrite(CodeFrame << 12, _codePage);
        _ = _memory.TryWrite(DataFrame << 12, initial.Memory);
        ulong last = MachineCase.DataBase + ((MachineCase.DataPages - 1) * MachineCase.PageSize);
        Map(last, DataFrame + MachineCase.DataPages - 1, initial.LastPage switch
        {
            LastPage.Absent => 0,
            LastPage.ReadOnly => Data,
            _ => Data | PageTableEntry.Writable,
        });
        _cpu.FlushPage(last);
        CpuState* state = _cpu.State;
        Prepare(state, initial);
        MachineCase result = initial.Clone();
        _cpu.Run(out CpuExit exit);

        result.Vector = exit.Kind == CpuExitKind.Exception ? (ulong)exit.Vector : 0x100 + (ulong)exit.Kind;
        result.ErrorCode = exit.ErrorCode;
        result.Cr2 = exit.Address;
        result.Rip = state->Rip;
        result.Rflags = state->Rflags;
        result.FsBase = state->Fs.Base;
        result.GsBase = state->Gs.Base;

        // SAFETY: the state lives as long as the vCPU.
        new Span<ulong>(state->Gpr, 16).CopyTo(result.Gpr);
        new Span<byte>(state->Xsave, CpuState.XsaveSize).CopyTo(result.Xsave);
        _ = _memory.TryRead(DataFrame << 12, result.Memory);
        return result;
    }

    public void Dispose()
    {
        _cpu.Dispose();
        _engine.Dispose();
        _memory.Dispose();
    }

    // What a process of the host has: its selectors, CPL 3, everything enabled.
    private static void Prepare(CpuState* state, MachineCase initial)
    {
        RegisterTable.Reset(state);
        initial.Gpr.CopyTo(new Span<ulong>(state->Gpr, 16));
        initial.Xsave.CopyTo(new Span<byte>(state->Xsave, CpuState.XsaveSize));
        state->Rip = initial.Rip;
        state->Rflags = initial.Rflags;
        state->Cpl = 3;
        state->Cr0 = 0x8005_0033;
        state->Cr3 = FirstFrame << 12;
        state->Cr4 = (1 << 5) | (1 << 9) | (1 << 10) | (1 << 16) | (1 << 18);
        state->Efer = 0xD01;
        state->Xcr0 = 7;
        state->Cs = new SegmentRegister { Selector = 0x33, Limit = uint.MaxValue, Attributes = 0xA0FB };
        state->Ss = new SegmentRegister { Selector = 0x2B, Limit = uint.MaxValue, Attributes = 0xC0F3 };
        state->Ds = default;
        state->Es = default;
        state->Fs = new SegmentRegister { Base = initial.FsBase };
        state->Gs = new SegmentRegister { Base = initial.GsBase };
        state->TranslationContext = 1;
    }

    private void Map(ulong linear, ulong frame, ulong flags)
    {
        ulong table = FirstFrame << 12;
        for (int level = 4; level > 1; level--)
        {
            ulong at = table + ((ulong)PageTableEntry.Index(linear, level) * 8);
            _ = _memory.TryReadUInt64(at, out ulong entry);
            if ((entry & PageTableEntry.Present) == 0)
            {
                entry = (_nextFrame++ << 12) | Rights | PageTableEntry.Writable;
                _ = _memory.TryWriteUInt64(at, entry);
            }

            table = entry & PageTableEntry.AddressMask;
        }

        _ = _memory.TryWriteUInt64(table + ((ulong)PageTableEntry.Index(linear, 1) * 8), flags == 0 ? 0 : (frame << 12) | flags);
    }
}
