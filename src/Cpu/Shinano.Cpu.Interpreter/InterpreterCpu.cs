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
    private readonly CarefulStepper _careful;
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
        _careful = new CarefulStepper(_slots);
        _core->ProbeCount = ulong.MaxValue;
        LookAsideTables.Reset(_core);
        engine.Code.Register(this);
    }

    public InterpreterEngine Engine { get; }

    public PrivateSlots Slots => _slots;

    /// <summary>For the vCPU's own walks.</summary>
    public PagingStructureCache Walks { get; } = new();

    /// <inheritdoc/>
    public override ulong InstructionCount => _core->Count;

    /// <summary>Last epoch of the code cache that this vCPU acknowledged. Written under the cache's gate.</summary>
    public long SeenEpoch { get; set; }

    /// <summary>Whether the vCPU may hold pointers to decoded code.</summary>
    public bool IsRunning => Volatile.Read(ref _isRunning) != 0;

    /// <summary>The state with the engine's own part.</summary>
    protected Core* Core => _core;

    /// <summary>The vCPU that a core belongs to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static InterpreterCpu Of(Core* c) => Unsafe.As<InterpreterCpu>(GCHandle.FromIntPtr(c->Owner).Target!);

    /// <summary>What a page walk needs of the mode.</summary>
    public PageWalker.Context WalkContext() => new(
        _core->Cpu.Cr3, _core->Cpu.Cpl == 3, (_core->Cpu.Cr0 & (1 << 16)) != 0, (_core->Cpu.Efer & (1 << 11)) != 0);

    /// <inheritdoc/>
    public override IReadOnlyList<CpuCounter> ReadCounters() =>
    [
        Total(CpuCounterNames.InterpretedInstructions, ref _core->Count),
        Total(CpuCounterNames.PageWalks, ref _core->TlbMisses),
        Total(CpuCounterNames.CodeWrites, ref _core->CodeWrites),
        Total(CpuCounterNames.Pauses, ref _core->Pauses),
    ];

    /// <summary>For code that is executed without a look at its block: whether a probe is at an address, and is to be left for; the exit is prepared then.</summary>
    public bool MeetsProbe(ulong linear)
    {
        ProbeTable probes = Engine.Code.Probes;
        if (probes.Count == 0
            || FlowHandlers.IsPassed(_core, linear)
            || !FlowHandlers.TranslateFetch(_core, linear, out PageWalker.Translation found, out _)
            || !probes.Contains(found.Physical))
        {
            return false;
        }

        FlowHandlers.ExitAtProbe(_core, linear, found.Physical);
        return true;
    }

    /// <inheritdoc/>
    public override void FlushTranslations()
    {
        FlushContext(0);
        FlushContext(1);
    }

    /// <inheritdoc/>
    public override void FlushContext(int context)
    {
        Walks.Clear();
        LookAsideTables.Flush(_core, context);
    }

    /// <inheritdoc/>
    public override void FlushChanged(int context, FrameFilter changed, bool keepsLowerHalf)
    {
        if (_core->LargePageSeen != 0)
        {
            FlushContext(context);
            return;
        }

        Walks.Clear();
        LookAsideTables.FlushChanged(_core, context, changed, keepsLowerHalf, Engine.Memory);
    }

    /// <inheritdoc/>
    public override void FlushPage(ulong linear)
    {
        if (_core->LargePageSeen != 0)
        {
            FlushTranslations();
            return;
        }

        Walks.Clear();
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
    protected override bool TryLookAsideCore(int context, ulong linear, bool write, out ulong physical) =>
        LookAsideTables.TryFind(_core, context, linear, write, Engine.Memory, out physical);

    /// <inheritdoc/>
    protected override void RunCore(ref CpuExit exit)
    {
        Core* c = _core;
        Interlocked.Exchange(ref _isRunning, 1);
        LookAsideTables.Select(c);
        ArithmeticFlags.Write(c, c->Cpu.Rflags);
        c->HasExit = 0;
        while (c->HasExit == 0)
        {
            int attention = Volatile.Read(ref c->Attention);
            if ((attention & AttentionBits.CodeCache) != 0)
            {
                Engine.Code.Acknowledge(this);
            }

            // The instruction after a MOV SS belongs to it; there is at most one.
            CarefulReasons reasons = CarefulExecution.ReasonsOf(&c->Cpu);
            if ((attention & AttentionBits.Kicked) != 0 && (reasons & CarefulReasons.Shadow) == 0)
            {
                c->Exit = new CpuExit { Kind = CpuExitKind.Kicked };
                break;
            }

            if (reasons != CarefulReasons.None)
            {
                _careful.Step(c, reasons);
                continue;
            }

            // RF has a meaning for breakpoints only, and the first instruction clears it.
            c->Cpu.Rflags &= ~Rflags.Resume;
            Advance(c);
        }

        c->Cpu.Rflags = ArithmeticFlags.ReadAll(c);
        exit = c->Exit;
        if ((Volatile.Read(ref c->Attention) & AttentionBits.CodeCache) != 0)
        {
            // Also on the way out: a write made just before the exit must be seen by those who run on.
            Engine.Code.Acknowledge(this);
        }

        Volatile.Write(ref _isRunning, 0);
    }

    /// <summary>Runs at full speed until something else must be done: an exit is prepared, somebody wants attention, or the state may ask for care.</summary>
    protected virtual void Advance(Core* c) => Execute(c, FlowHandlers.Lookup(c, c->Cpu.Rip));

    /// <summary>A counter of the state, which the vCPU's thread may be changing.</summary>
    protected static CpuCounter Total(string name, ref ulong value) => new(name, CpuCounterKind.Total, (long)Volatile.Read(ref value));

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
    internal static void Execute(Core* c, Op* op)
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
}
