using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>One vCPU of the interpreter: the run loop and the look-aside tables.</summary>
internal unsafe class InterpreterCpu : VirtualCpu
{
    private readonly Core* _core;
    private readonly Lock _revocationsGate = new();
    private readonly PrivateSlots _slots;
    private GCHandle _self;
    private List<WriteRevocation>? _revocations;
    private int _isRunning;

    /// <param name="moreBytes">Bytes that a derived engine wants behind <see cref="Core"/>, cleared.</param>
    public InterpreterCpu(InterpreterEngine engine, int moreBytes = 0)
        : base(sizeof(Core) - sizeof(CpuState) - sizeof(ulong) + moreBytes)
    {
        Engine = engine;
        _core = (Core*)State;
        _self = GCHandle.Alloc(this, GCHandleType.Weak);
        _core->Owner = GCHandle.ToIntPtr(_self);
        _core->ExitOp.Handler = &FlowHandlers.Exit;
        _slots = new PrivateSlots(this);
        LookAsideTables.Reset(_core);
        engine.Code.Register(this);
    }

    public InterpreterEngine Engine { get; }

    public PrivateSlots Slots => _slots;

    /// <inheritdoc/>
    public override ulong InstructionCount => _core->Count;

    /// <summary>Last epoch of the code cache that this vCPU acknowledged. Written under the cache's gate.</summary>
    public long SeenEpoch { get; set; }

    /// <summary>Whether the vCPU may hold pointers to decoded code.</summary>
    public bool IsRunning => Volatile.Read(ref _isRunning) != 0;

    /// <summary>The state with the engine's own part.</summary>
    protected Core* Core => _core;

    public ulong TlbMisses => _core->TlbMisses;

    /// <summary>The vCPU that a core belongs to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static InterpreterCpu Of(Core* c) => Unsafe.As<InterpreterCpu>(GCHandle.FromIntPtr(c->Owner).Target!);

    /// <summary>What a page walk needs of the mode.</summary>
    public PageWalker.Context WalkContext() => new(
        _core->Cpu.Cr3, _core->Cpu.Cpl == 3, (_core->Cpu.Cr0 & (1 << 16)) != 0, (_core->Cpu.Efer & (1 << 11)) != 0);

    /// <inheritdoc/>
    public override void FlushTranslations()
    {
        FlushContext(0);
        FlushContext(1);
    }

    /// <inheritdoc/>
    public override void FlushContext(int context) => LookAsideTables.Flush(_core, context);

    /// <inheritdoc/>
    public override void FlushPage(ulong linear)
    {
        if (_core->LargePageSeen != 0)
        {
            FlushTranslations();
            return;
        }

        LookAsideTables.FlushPage(_core, linear);
    }

    /// <summary>Owner's thread: drops write translations of a frame, wherever it is mapped.</summary>
    public virtual void DropWriteTranslations(ulong frame) =>
        LookAsideTables.DropWrites(_core, Engine.Memory.HostBase + ((frame - Engine.Memory.FirstFrame) << GuestMemory.PageShift));

    /// <summary>Any thread: asks for <see cref="DropWriteTranslations"/> at the next block boundary.</summary>
    public void Revoke(WriteRevocation revocation)
    {
        lock (_revocationsGate)
        {
            (_revocations ??= []).Add(revocation);
        }

        AskForAcknowledgement();
    }

    public void AskForAcknowledgement() => Interlocked.Or(ref _core->Attention, AttentionBits.CodeCache);

    public List<WriteRevocation>? TakeRevocations()
    {
        Interlocked.And(ref _core->Attention, ~AttentionBits.CodeCache);
        lock (_revocationsGate)
        {
            List<WriteRevocation>? taken = _revocations;
            _revocations = null;
            return taken;
        }
    }

    /// <inheritdoc/>
    protected override void RunCore(ref CpuExit exit)
    {
        Core* c = _core;
        BeginRun();
        ArithmeticFlags.Write(c, c->Cpu.Rflags);
        while (c->HasExit == 0)
        {
            int attention = Volatile.Read(ref c->Attention);
            if ((attention & AttentionBits.CodeCache) != 0)
            {
                Engine.Code.Acknowledge(this);
            }

            if ((attention & AttentionBits.Kicked) != 0)
            {
                c->Exit = new CpuExit { Kind = CpuExitKind.Kicked };
                break;
            }

            if ((c->Cpu.Rflags & Rflags.Trap) != 0)
            {
                Step(c);
                continue;
            }

            Op* op = FlowHandlers.Lookup(c, c->Cpu.Rip);
            Execute(c, op);
        }

        c->Cpu.Rflags = ArithmeticFlags.ReadAll(c);
        exit = c->Exit;
        EndRun();
    }

    /// <summary>To be called at the start of <see cref="RunCore"/>.</summary>
    protected void BeginRun()
    {
        Interlocked.Exchange(ref _isRunning, 1);
        LookAsideTables.Select(_core);
        _core->HasExit = 0;
    }

    /// <summary>To be called at the end of <see cref="RunCore"/>, after the last guest instruction.</summary>
    protected void EndRun()
    {
        if ((Volatile.Read(ref _core->Attention) & AttentionBits.CodeCache) != 0)
        {
            // Also on the way out: a write made just before the exit must be seen by those who run on.
            Engine.Code.Acknowledge(this);
        }

        Volatile.Write(ref _isRunning, 0);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        _slots.Dispose();
        if (_self.IsAllocated)
        {
            _self.Free();
        }
    }

    /// <summary>Runs ops until one leaves. The exit op returns itself, so that the end is tested once per four instructions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    protected static void Execute(Core* c, Op* op)
    {
        Op* exit = &c->ExitOp;
        do
        {
            op = op->Handler(c, op);
            op = op->Handler(c, op);
            op = op->Handler(c, op);
            op = op->Handler(c, op);
        }
        while (op != exit);
    }

    /// <summary>Executes one instruction with RFLAGS.TF set at its start, then the trap (SDM 3B §17.3.1.4).</summary>
    protected void Step(Core* c)
    {
        Interlocked.Or(ref c->Attention, AttentionBits.Step);
        ulong count = c->Count;
        Op* op = _slots.Fetch(c, c->Cpu.Rip);
        Execute(c, op);
        Interlocked.And(ref c->Attention, ~AttentionBits.Step);
        if (c->HasExit == 0 && c->Count != count)
        {
            c->HasExit = 1;
            c->Exit = new CpuExit { Kind = CpuExitKind.Exception, Vector = ExceptionVector.Debug, DebugStatus = 1UL << 14 };
        }
    }
}
