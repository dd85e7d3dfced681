using Shinano.Cpu.Interpreter;
using Shinano.Linux;

namespace Shinano.Cpu.Translator;

/// <summary>The pieces of code that all blocks of a domain share: ways in and out, and the look-aside miss.</summary>
internal sealed unsafe class Thunks : IDisposable
{
    /// <summary>Bytes of host stack for calls. The thread's own stack serves; what is left must do for a signal and for the miss in C#.</summary>
    private const int CallStackBytes = 32 << 10;

    private const int Rbx = 3;
    private const int Rbp = 5;
    private const int Rsi = 6;
    private const int Rdi = 7;

    /// <summary>VMOVAPS: to the register, to memory.</summary>
    private const byte Load = 0x28;
    private const byte Store = 0x29;

    /// <summary>Guest registers whose homes a C function may change.</summary>
    private static readonly int[] CallerSaved = [0, 1, 2, 4, 6, 7, 8, 15];
    private static readonly int[] CalleeSaved = [3, 5, 12, 13, 14];

    private readonly ExecutableMemory _memory = new(8192);
    private readonly HostAssembler _code = new();
    private readonly int _exit;
    private readonly int _fill;
    private readonly int _loadVector;
    private readonly int[] _returns = new int[Core.Contexts];
    private readonly int[] _stacks = new int[Core.Contexts];
    private readonly int[] _ungroups = new int[Core.Contexts];

    public Thunks()
    {
        _exit = _code.NewLabel();
        int enter = EmitEnter();
        EmitExit();
        _loadVector = EmitLoadVector();
        _fill = EmitFill();
        for (int context = 0; context < _returns.Length; context++)
        {
            _returns[context] = EmitReturn(context);
            _stacks[context] = EmitStack(context);
            _ungroups[context] = EmitUngroup(context);
        }

        _code.Finish(new Span<byte>(_memory.Writable, (int)_memory.Length), 0, _code.HotLength);
        Enter = (delegate* unmanaged<NativeState*, nint, void>)Address(enter);
    }

    /// <summary>Enters translated code: the state, which GS must point to, and the code's address.</summary>
    public delegate* unmanaged<NativeState*, nint, void> Enter { get; }

    /// <summary>Fills in the thunks' addresses and the constants of a vCPU's state.</summary>
    public void Prepare(NativeState* state)
    {
        state->Self = state;
        state->ExitThunk = (nint)Address(_exit);
        state->FillThunk = (nint)Address(_fill);
        state->LoadVectorThunk = (nint)Address(_loadVector);
        for (int context = 0; context < _returns.Length; context++)
        {
            state->ReturnThunks[context] = (ulong)Address(_returns[context]);
            state->StackThunks[context] = (ulong)Address(_stacks[context]);
            state->UngroupThunks[context] = (ulong)Address(_ungroups[context]);
        }

        state->HostMxcsr = 0x1F80;
        state->IndexMask = (ulong)(Core.TlbEntries - 1) << 12;
        state->PageMask = ~0xFFFUL;
        state->SizeMask = FillRequest.SizeMask;
        state->Mask16 = 15;
        state->Mask32 = 31;
        for (int i = 0; i < NativeState.CountLimit; i++)
        {
            state->Numbers[i] = (ulong)i;
        }
    }

    public void Dispose() => _memory.Dispose();

    private byte* Address(int label) => _memory.Executable + _code.OffsetOf(label);

    private int EmitEnter()
    {
        int label = _code.Here();
        foreach (int register in (int[])[Rbx, Rbp, 12, 13, 14, 15])
        {
            Push(register);
        }

        _code.Store(HostOperand.State(NativeLayout.HostStack), HostRegisters.Rsp);
        _code.Store(HostOperand.State(NativeLayout.Temporary), Rsi);
        LoadCount();

        // PUSH qword of the word that the last return takes.
        _code.Op(0, false, 0xFF, 6, HostOperand.State(NativeLayout.CurrentReturnThunk));
        _code.Store(HostOperand.State(NativeLayout.CallStackBase), HostRegisters.Rsp);
        _code.Lea(HostRegisters.Rcx, HostOperand.Mem(HostRegisters.Rsp, -CallStackBytes));
        _code.Store(HostOperand.State(NativeLayout.CallStackLimit), HostRegisters.Rcx);
        LoadRegisters(CallerSaved);
        LoadRegisters(CalleeSaved);
        _code.JumpThrough(HostOperand.State(NativeLayout.Temporary));
        return label;
    }

    private void EmitExit()
    {
        _code.Bind(_exit);
        StoreRegisters(CallerSaved);
        StoreRegisters(CalleeSaved);
        StoreCount();
        IfVector(() => SaveVector());
        _code.Load(HostRegisters.Rsp, HostOperand.State(NativeLayout.HostStack));
        foreach (int register in (int[])[15, 14, 13, 12, Rbp, Rbx])
        {
            Pop(register);
        }

        _code.Byte(0xC3);
    }

    private int EmitLoadVector()
    {
        int label = _code.Here();
        LoadVector();
        _code.StoreImmediate8(HostOperand.State(NativeLayout.UsedVector), 1);
        _code.Byte(0xC3);
        return label;
    }

    /// <summary>
    /// RCX is a linear address, R15D the access (<see cref="FillRequest"/>). Returns RCX = 0 when it cannot be done in a look-aside table, or there is no code;
    /// keeps all guest registers and the flags.
    /// </summary>
    private int EmitFill()
    {
        int label = _code.Here();
        _code.Byte(0x9C);
        StoreRegisters(CallerSaved);
        StoreCount();
        IfVector(() => SaveVector());
        _code.Load(Rdi, HostOperand.State(NativeLayout.Self));
        _code.Move(Rsi, HostRegisters.Rcx);
        _code.Move32(HostRegisters.Rdx, HostRegisters.R15);
        _code.Store(HostOperand.State(NativeLayout.FillStack), HostRegisters.Rsp);
        _code.Arithmetic(4, true, HostOperand.Reg(HostRegisters.Rsp), -16);
        _code.CallThrough(HostOperand.State(NativeLayout.FillFunction));
        _code.Load(HostRegisters.Rsp, HostOperand.State(NativeLayout.FillStack));
        _code.Move(HostRegisters.Rcx, HostRegisters.Rax);
        IfVector(() => LoadVector());
        LoadCount();
        LoadRegisters(CallerSaved);
        _code.Byte(0x9D);
        _code.Byte(0xC3);
        return label;
    }

    /// <summary>
    /// What <see cref="_fill"/> does for an access through the stack's window, from the context's table for writes if that has the page. Programs whose stack lies on a page's end
    /// move the window at each call.
    /// </summary>
    private int EmitStack(int context)
    {
        int label = _code.Here();
        int miss = _code.NewLabel();
        int tooLong = _code.NewLabel();
        int table = NativeLayout.Table(context, write: true);
        int window = NativeLayout.StackWindow(context);
        _code.Store(HostOperand.State(NativeLayout.StackAddress), HostRegisters.Rcx);
        _code.Store(HostOperand.State(NativeLayout.StackRequest), HostRegisters.R15);
        MemoryEmitter.TableIndex(_code);
        _code.Store(HostOperand.State(NativeLayout.StackIndex), HostRegisters.R15);
        _code.Load(HostRegisters.R15, HostOperand.State(table + TlbEntry.TagOffset, HostRegisters.R15, 3));
        _code.Lea(HostRegisters.Rcx, HostOperand.Mem(HostRegisters.Rcx, HostRegisters.R15, 0, 0));
        _code.Store(HostOperand.State(NativeLayout.StackOffset), HostRegisters.Rcx);
        MemoryEmitter.JumpUnlessFirstPage(_code, miss);

        // The first byte is in the entry's page; the last one, too?
        _code.Load(HostRegisters.Rcx, HostOperand.State(NativeLayout.StackRequest));
        _code.ParallelExtract(HostRegisters.Rcx, HostRegisters.Rcx, HostOperand.State(NativeLayout.SizeMask));
        _code.Load(HostRegisters.R15, HostOperand.State(NativeLayout.StackOffset));
        _code.Lea(HostRegisters.Rcx, HostOperand.Mem(HostRegisters.Rcx, HostRegisters.R15, 0, -1));
        MemoryEmitter.JumpUnlessFirstPage(_code, tooLong);
        _code.Load(HostRegisters.R15, HostOperand.State(NativeLayout.StackIndex));
        foreach ((int from, int to) in (ReadOnlySpan<(int, int)>)[(TlbEntry.TagOffset, 0), (TlbEntry.AddendOffset, 8)])
        {
            _code.Load(HostRegisters.Rcx, HostOperand.State(table + from, HostRegisters.R15, 3));
            _code.Store(HostOperand.State(window + to), HostRegisters.Rcx);
        }

        _code.MoveImmediate(HostRegisters.Rcx, 1);
        _code.Byte(0xC3);
        _code.Bind(miss);
        _code.Load(HostRegisters.Rcx, HostOperand.State(NativeLayout.StackAddress));
        _code.Load(HostRegisters.R15, HostOperand.State(NativeLayout.StackRequest));
        _code.Jump(_fill);
        _code.Bind(tooLong);
        _code.MoveImmediate(HostRegisters.Rcx, 0);
        _code.Byte(0xC3);
        return label;
    }

    /// <summary>A return to the address in RCX that no call on the host stack matches.</summary>
    private int EmitReturn(int context)
    {
        int label = _code.Here();
        _code.Load(HostRegisters.Rsp, HostOperand.State(NativeLayout.CallStackBase));
        EmitGoOn(NativeLayout.JumpCache(context), NativeState.JumpEntries, FillRequest.Jump, NativeExit.Return);
        return label;
    }

    /// <summary>Goes on at the address in RCX in code without groups.</summary>
    private int EmitUngroup(int context)
    {
        int label = _code.Here();
        EmitGoOn(NativeLayout.UngroupedCache(context), NativeState.UngroupedEntries, FillRequest.Ungrouped, NativeExit.Interpret);
        return label;
    }

    /// <summary>Goes on at the address in RCX with code from a cache, or else found by C#, or leaves.</summary>
    private void EmitGoOn(int cache, int entries, int request, NativeExit otherwise)
    {
        int miss = _code.NewLabel();
        JumpCacheProbe.Emit(_code, cache, entries, miss);
        _code.JumpThrough(JumpCacheProbe.Code(cache));
        _code.Bind(miss);
        _code.Store(HostOperand.State(NativeLayout.Rip), HostRegisters.Rcx);
        _code.MoveImmediate(HostRegisters.R15, (ulong)request);
        _code.CallThrough(HostOperand.State(NativeLayout.FillThunk));
        _code.SkipIfRcxZero(() => _code.JumpThrough(HostOperand.State(NativeLayout.FoundCode)));
        _code.StoreImmediate(HostOperand.State(NativeLayout.ExitReason), (ulong)otherwise, HostRegisters.Rcx);
        _code.Jump(_exit);
    }

    private void IfVector(Action emit)
    {
        int skip = _code.NewLabel();
        _code.CompareByte(HostOperand.State(NativeLayout.UsedVector), 0);
        _code.JumpIf(HostCondition.Equal, skip);
        emit();
        _code.Bind(skip);
    }

    /// <summary>The guest's vector registers and MXCSR, whose exceptions are masked whenever translated code runs.</summary>
    /// <remarks>
    /// An SSE instruction in the form without VEX costs some hundred cycles while an upper half is in use (AMD, families 17h and 19h: Software Optimization Guide, "Mixing AVX
    /// and SSE"; Intel before Skylake), so there is none here, and halves that are zero are left unused: a guest that has once used AVX goes on with SSE.
    /// </remarks>
    private void LoadVector()
    {
        int lowOnly = _code.NewLabel();
        int done = _code.NewLabel();
        Test(NativeLayout.Xsave + CpuState.XstateBvOffset, 4);
        _code.JumpIf(HostCondition.Equal, lowOnly);
        MoveAligned(Load, 0, High(0));
        for (int i = 1; i < 16; i++)
        {
            // VORPS xmm0, xmm0, [m]: VEX.128.0F 56 /r.
            Vex128(0x56, 0, 0, High(i));
        }

        // VPTEST xmm0, xmm0: VEX.128.66.0F38 17 /r.
        _code.Bytes([0xC4, 0xE2, 0x79, 0x17, 0xC0]);
        _code.JumpIf(HostCondition.Equal, lowOnly);
        for (int i = 0; i < 16; i++)
        {
            MoveAligned(Load, i, Low(i));

            // VINSERTF128 ymm, ymm, [m], 1: VEX.256.66.0F3A.W0 18 /r.
            Vex256(0x18, i, i, High(i));
        }

        _code.Jump(done);
        _code.Bind(lowOnly);
        ZeroUpper();
        for (int i = 0; i < 16; i++)
        {
            MoveAligned(Load, i, Low(i));
        }

        _code.Bind(done);
        _code.Op(0, false, 0x0FAE, 2, HostOperand.State(NativeLayout.Xsave + CpuState.MxcsrOffset));
    }

    private void SaveVector()
    {
        int lowOnly = _code.NewLabel();
        int upper = _code.NewLabel();
        _code.Op(0, false, 0x0FAE, 3, HostOperand.State(NativeLayout.Xsave + CpuState.MxcsrOffset));
        _code.Op(0, false, 0x0FAE, 2, HostOperand.State(NativeLayout.HostMxcsr));
        for (int i = 0; i < 16; i++)
        {
            MoveAligned(Store, i, Low(i));
        }

        _code.CompareByte(HostOperand.State(NativeLayout.UsedVex), 0);
        _code.JumpIf(HostCondition.NotEqual, upper);
        Test(NativeLayout.Xsave + CpuState.XstateBvOffset, 4);
        _code.JumpIf(HostCondition.Equal, lowOnly);
        _code.Bind(upper);
        for (int i = 0; i < 16; i++)
        {
            // VEXTRACTF128 [m], ymm, 1: VEX.256.66.0F3A.W0 19 /r.
            Vex256(0x19, i, 0, High(i));
        }

        // From here on the state says that there are upper halves.
        _code.Op(0, false, 0x80, 1, HostOperand.State(NativeLayout.Xsave + CpuState.XstateBvOffset));
        _code.Byte(4);
        _code.Bind(lowOnly);
        _code.Op(0, false, 0x80, 1, HostOperand.State(NativeLayout.Xsave + CpuState.XstateBvOffset));
        _code.Byte(2);
        ZeroUpper();
    }

    private static int Low(int register) => NativeLayout.Xsave + CpuState.XmmOffset + (16 * register);

    private static int High(int register) => NativeLayout.Xsave + CpuState.YmmHighOffset + (16 * register);

    /// <summary>VMOVAPS xmm, [m] or [m], xmm: VEX.128.0F 28 or 29 /r.</summary>
    private void MoveAligned(byte opcode, int register, int offset) => Vex128(opcode, register, 0, offset);

    private void ZeroUpper() => _code.Bytes([0xC5, 0xF8, 0x77]);

    /// <summary>VEX.128.0F, on a register and a field of the state.</summary>
    private void Vex128(byte opcode, int register, int second, int offset) => Vex(1, 0, opcode, register, second, offset);

    /// <summary>VEX.256.66.0F3A with an immediate of 1, on a register and a field of the state.</summary>
    private void Vex256(byte opcode, int register, int second, int offset)
    {
        Vex(3, 4 | 1, opcode, register, second, offset);
        _code.Byte(1);
    }

    /// <param name="map">VEX.mmmmm.</param>
    /// <param name="lengthAndPrefix">VEX.L and VEX.pp.</param>
    /// <param name="second">VEX.vvvv; 0 for those that have none.</param>
    private void Vex(int map, int lengthAndPrefix, byte opcode, int register, int second, int offset)
    {
        _code.Byte(0x65);
        _code.Byte(0xC4);
        _code.Byte((byte)((register < 8 ? 0x80 : 0) | 0x60 | map));
        _code.Byte((byte)(((~second & 15) << 3) | lengthAndPrefix));
        _code.Byte(opcode);
        _code.Byte((byte)(((register & 7) << 3) | 4));
        _code.Byte(0x25);
        _code.Int32(offset);
    }

    /// <summary>TEST byte [m], imm.</summary>
    private void Test(int offset, byte mask)
    {
        _code.Op(0, false, 0xF6, 0, HostOperand.State(offset));
        _code.Byte(mask);
    }

    // MM0 counts instructions: PADDQ leaves the flags alone and keeps the count off the chain of integer operations.
    private void LoadCount() => _code.Op(0, false, 0x0F6F, 0, HostOperand.State(NativeLayout.Count));

    private void StoreCount()
    {
        _code.Op(0, false, 0x0F7F, 0, HostOperand.State(NativeLayout.Count));
        _code.Bytes([0x0F, 0x77]);
    }

    private void LoadRegisters(int[] guest)
    {
        foreach (int register in guest)
        {
            _code.Load(HostRegisters.HomeOf(register), HostOperand.State(NativeLayout.Gpr(register)));
        }
    }

    private void StoreRegisters(int[] guest)
    {
        foreach (int register in guest)
        {
            _code.Store(HostOperand.State(NativeLayout.Gpr(register)), HostRegisters.HomeOf(register));
        }
    }

    private void Push(int register)
    {
        if (register >= 8)
        {
            _code.Byte(0x41);
        }

        _code.Byte((byte)(0x50 | (register & 7)));
    }

    private void Pop(int register)
    {
        if (register >= 8)
        {
            _code.Byte(0x41);
        }

        _code.Byte((byte)(0x58 | (register & 7)));
    }
}
