using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>One vCPU of the interpreter: the run loop and the look-aside tables.</summary>
internal sealed unsafe class InterpreterCpu : VirtualCpu
{
    private const ulong LastAsid = Core.CarefulAsid - 1;

    private readonly Core* _core;
    private readonly Lock _revocationsGate = new();
    private readonly PrivateSlots _slots;
    private readonly CarefulStepper _careful;
    private GCHandle _self;
    private List<WriteRevocation>? _revocations;
    private int _isRunning;
    private ulong _nextAsid;
    private readonly ulong[] _asids = new ulong[2];

    public InterpreterCpu(InterpreterEngine engine)
        : base(sizeof(Core) - sizeof(CpuState) - sizeof(ulong))
    {
        Engine = engine;
        _core = (Core*)State;
        _self = GCHandle.Alloc(this, GCHandleType.Weak);
        _core->Owner = GCHandle.ToIntPtr(_self);
        _core->ExitOp.Handler = &FlowHandlers.Exit;
        _slots = new PrivateSlots(this);
        _careful = new CarefulStepper(_slots);
        FlushTranslations();
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
    public override void FlushContext(int context)
    {
        if (_nextAsid == LastAsid)
        {
            new Span<ulong>(_core->ReadTlb, 2 * Core.TlbEntries).Clear();
            new Span<ulong>(_core->WriteTlb, 2 * Core.TlbEntries).Clear();
            new Span<ulong>(_core->Fetch, 2 * Core.FetchEntries).Clear();
            _asids[0] = 1;
            _asids[1] = 2;
            _nextAsid = 2;
        }
        else
        {
            _asids[context] = ++_nextAsid;
        }

        _core->Asid = _asids[_core->Cpu.TranslationContext & 1];
    }

    /// <inheritdoc/>
    public override void FlushPage(ulong linear)
    {
        if (_core->LargePageSeen != 0)
        {
            FlushTranslations();
            return;
        }

        ulong page = linear >> GuestMemory.PageShift;
        TlbEntry* read = (TlbEntry*)_core->ReadTlb + (page & (Core.TlbEntries - 1));
        TlbEntry* write = (TlbEntry*)_core->WriteTlb + (page & (Core.TlbEntries - 1));
        FetchEntry* fetch = (FetchEntry*)_core->Fetch + (page & (Core.FetchEntries - 1));
        read->Tag = read->Tag >> GuestMemory.PageShift == page ? 0 : read->Tag;
        write->Tag = write->Tag >> GuestMemory.PageShift == page ? 0 : write->Tag;
        fetch->Tag = fetch->Tag >> GuestMemory.PageShift == page ? 0 : fetch->Tag;
    }

    /// <summary>Owner's thread: drops write translations of a frame, wherever it is mapped.</summary>
    public void DropWriteTranslations(ulong frame)
    {
        ulong host = (ulong)Engine.Memory.HostBase + ((frame - Engine.Memory.FirstFrame) << GuestMemory.PageShift);
        TlbEntry* entries = (TlbEntry*)_core->WriteTlb;
        for (int i = 0; i < Core.TlbEntries; i++)
        {
            if ((entries[i].Tag & ~0xFFFUL) + entries[i].Addend == host)
            {
                entries[i].Tag = 0;
            }
        }
    }

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
        Interlocked.Exchange(ref _isRunning, 1);
        c->Asid = _asids[c->Cpu.TranslationContext & 1];
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
            Op* op = FlowHandlers.Lookup(c, c->Cpu.Rip);
            Execute(c, op);
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
