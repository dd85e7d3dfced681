using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Cpu.Interpreter;
using Shinano.Linux;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Translator;

/// <summary>One vCPU of the translator: the dispatcher between translated code and the interpreter, and the look-aside misses of translated code.</summary>
internal unsafe class TranslatorCpu : InterpreterCpu
{
    private const int HeatSlots = 1 << 14;
    private const int RecentBlocks = 1 << 12;

    /// <summary>The vCPU whose state GS points to on this thread.</summary>
    [ThreadStatic]
    private static TranslatorCpu? _onThread;

    private readonly TranslatorEngine _engine;
    private readonly NativeState* _state;

    /// <summary>Blocks found last, by address and frame: what the jump caches forget with each root load is found again without the gate.</summary>
    private readonly TranslatedBlock?[] _recent = new TranslatedBlock?[RecentBlocks];
    private readonly byte[] _heat = new byte[HeatSlots];
    private readonly CodeKnowledge _knowledge;
    private readonly ulong _windowKey;
    private readonly byte[] _windowPage = GC.AllocateArray<byte>(2 * GuestMemory.PageSize, pinned: true);
    private readonly TranslatorCpuCounters _counters = new();
    private TranslationMode _mode;
    private long _generation;
    private bool _flagsAreLazy = true;
    private long _windowsClosed;

    public TranslatorCpu(TranslatorEngine engine, InterpreterEngine interpreter)
        : base(interpreter, sizeof(NativeState) - sizeof(Core))
    {
        _engine = engine;
        _state = (NativeState*)State;
        engine.Thunks.Prepare(_state);
        _state->FillFunction = (nint)(delegate* unmanaged<NativeState*, ulong, uint, ulong>)&Fill;
        Interlocked.Or(ref Core->Attention, AttentionBits.Tiered);

        // An empty stack window has a tag that no guest can guess, and leads to a page of ours if it does.
        _windowKey = (ulong)Random.Shared.NextInt64() | 1;
        CloseWindow(0);
        CloseWindow(1);
        _knowledge = new CodeKnowledge(_state, engine.Cache.Mappings, interpreter.Code.Gate);
        engine.Cache.Register(this);
    }

    /// <summary>The translations' generation that this vCPU has taken notice of.</summary>
    public long SeenGeneration => Volatile.Read(ref _generation);

    /// <inheritdoc/>
    public override IReadOnlyList<CpuCounter> ReadCounters() => _counters.Read(base.ReadCounters());

    /// <inheritdoc/>
    public override void FlushContext(int context)
    {
        base.FlushContext(context);
        CloseWindow(context);
        _knowledge.Forget(context);
    }

    /// <inheritdoc/>
    public override void FlushChanged(int context, FrameFilter changed, bool keepsLowerHalf)
    {
        base.FlushChanged(context, changed, keepsLowerHalf);
        if (Core->LargePageSeen == 0)
        {
            CloseWindow(context);
            _knowledge.ForgetChanged(context, changed, keepsLowerHalf);
        }
    }

    /// <inheritdoc/>
    public override void FlushPage(ulong linear)
    {
        base.FlushPage(linear);
        CloseWindow(0);
        CloseWindow(1);
        if (Core->LargePageSeen == 0)
        {
            _knowledge.ForgetPage(linear >> GuestMemory.PageShift);
        }
    }

    /// <inheritdoc/>
    public override void DropWriteTranslations(ulong frame)
    {
        base.DropWriteTranslations(frame);
        CloseWindow(0);
        CloseWindow(1);
    }

    /// <summary>The frame that a linear address is fetched from in the current context; sets accessed bits as a fetch does, makes no fault.</summary>
    public bool TryFindFrame(ulong linear, out ulong frame)
    {
        bool found = FlowHandlers.TranslateFetch(Core, linear, out PageWalker.Translation translation, out _);
        frame = translation.Physical >> GuestMemory.PageShift;
        return found;
    }

    /// <inheritdoc/>
    protected override void RunCore(ref CpuExit exit)
    {
        BindThread();
        base.RunCore(ref exit);
        _counters.Publish(Core->Count);
    }

    /// <inheritdoc/>
    protected override void Advance(Core* c)
    {
        if (_generation != _engine.Cache.Generation)
        {
            ForgetCode();
        }

        if (!MayTranslate(c))
        {
            Interpret(c);
            return;
        }

        EnterMode();
        NativeExit reason = NativeExit.Lookup;
        while (reason == NativeExit.Lookup && c->HasExit == 0)
        {
            nint code = (Volatile.Read(ref c->Attention) & AttentionBits.Wanted) == 0 ? FindCode(c, c->Cpu.Rip) : 0;
            reason = code == 0 ? NativeExit.Interpret : RunTranslated(c, code);
        }

        MakeFlagsLazy(c);
        if (reason == NativeExit.Interpret && c->HasExit == 0 && (Volatile.Read(ref c->Attention) & AttentionBits.Wanted) == 0)
        {
            Interpret(c);
        }
    }

    /// <summary>
    /// False in states in which only the interpreter is exact: unmasked SSE exceptions, and a CR0 or CR4 under which vector instructions or RDTSC fault.
    /// </summary>
    private static bool MayTranslate(Core* c)
    {
        const ulong EmulationOrTaskSwitched = (1 << 2) | (1 << 3);
        const ulong TimeStampDisable = 1 << 2;
        const ulong OsFxsr = 1 << 9;
        const uint MxcsrMasks = 0x1F80;
        return (c->Cpu.Cr0 & EmulationOrTaskSwitched) == 0
            && (c->Cpu.Cr4 & (OsFxsr | TimeStampDisable)) == OsFxsr
            && (*(uint*)(c->Cpu.Xsave + CpuState.MxcsrOffset) & MxcsrMasks) == MxcsrMasks;
    }

    /// <summary>One block in the interpreter.</summary>
    private static void Interpret(Core* c) => Execute(c, FlowHandlers.Find(c, c->Cpu.Rip));

    /// <summary>What translated code wants done without leaving; see <see cref="FillRequest"/>.</summary>
    [UnmanagedCallersOnly]
    private static ulong Fill(NativeState* state, ulong address, uint request)
    {
        TranslatorCpu cpu = Unsafe.As<TranslatorCpu>(Of(&state->Core));
        bool isDone = request switch
        {
            FillRequest.Jump => cpu.TryFindCode(cpu.FindCode(&state->Core, address)),
            FillRequest.Link => cpu.TryFindCode(cpu.Connect(&state->Core, (int)address)),
            FillRequest.Ungrouped => cpu.TryFindCode(cpu.Ungroup(&state->Core, address)),
            _ => cpu.TryFill(address, request),
        };
        return isDone ? 1UL : 0UL;
    }

    /// <summary>Code to enter for an address: from the jump cache, the translations, or made now when the address is hot. 0 for none.</summary>
    private nint FindCode(Core* c, ulong rip)
    {
        nint known = _knowledge.JumpTo(rip, _mode.Context);
        if (known != 0)
        {
            return known;
        }

        TranslatedBlock? block = FindBlock(c, rip, _mode);
        if (block is null || block.Code == 0)
        {
            return 0;
        }

        _counters.JumpCacheMisses++;
        _knowledge.NoteJump(block);
        return block.Code;
    }

    /// <summary>The code without groups for an address; 0 for none.</summary>
    private nint Ungroup(Core* c, ulong rip)
    {
        TranslatedBlock? block = FindBlock(c, rip, _mode with { IsUngrouped = true });
        if (block is null || block.Code == 0)
        {
            return 0;
        }

        _knowledge.NoteUngrouped(block);
        return block.Code;
    }

    /// <summary>The translation of an address, made now when the address is hot.</summary>
    private TranslatedBlock? FindBlock(Core* c, ulong rip, TranslationMode mode)
    {
        CodePage* page = FlowHandlers.FindPage(c, rip);
        if (page is null)
        {
            return null;
        }

        ref TranslatedBlock? recent = ref _recent[(rip ^ (rip >> 12) ^ page->Frame ^ (mode.IsUngrouped ? 1UL : 0)) & (RecentBlocks - 1)];
        if (recent is { IsDropped: false } known && known.Rip == rip && known.Frame == page->Frame && known.Mode == mode)
        {
            return known;
        }

        // Code without groups is asked for in the middle of a block that is hot.
        ref byte heat = ref _heat[(rip ^ (rip >> 14)) & (HeatSlots - 1)];
        if (heat < _engine.Threshold && !mode.IsUngrouped)
        {
            heat++;
            return null;
        }

        return recent = _engine.Cache.Translate(this, rip, page, mode);
    }

    /// <summary>Enters translated code.</summary>
    /// <returns><see cref="NativeExit.Lookup"/> to go on at RIP, <see cref="NativeExit.Interpret"/> when that is the interpreter's, or that an exit is prepared.</returns>
    private NativeExit RunTranslated(Core* c, nint code)
    {
        MakeFlagsNative(c);
        ulong before = c->Count;
        _state->UsedVector = 0;
        _state->UsedVex = 0;
        _state->CurrentReturnThunk = _state->ReturnThunks[_mode.Context];
        _counters.Enter(before);
        _engine.Thunks.Enter(_state, code);
        NativeExit reason = (NativeExit)_state->ExitReason;
        if (reason == NativeExit.Return)
        {
            reason = CompleteReturn(c);
        }

        _counters.Leave(c->Count);
        switch (reason)
        {
            case NativeExit.NextPage:
                ulong next = (c->Cpu.Rip | (GuestMemory.PageSize - 1)) + 1;
                return TryFindFrame(next, out ulong frame) && _knowledge.NoteMapping((int)_state->ExitArgument, next, frame, _mode.Context)
                    ? NativeExit.Lookup
                    : NativeExit.Interpret;
            case NativeExit.Syscall:
                c->HasExit = 1;
                c->Exit = new CpuExit { Kind = CpuExitKind.Syscall };
                return reason;
            default:
                return reason;
        }
    }

    /// <summary>A return whose target is not canonical is itself what faults: it is taken back, and the interpreter executes it.</summary>
    private NativeExit CompleteReturn(Core* c)
    {
        if (SlowAccess.IsCanonical(c->Cpu.Rip))
        {
            return NativeExit.Lookup;
        }

        c->Count--;
        c->Cpu.Gpr[HostRegisters.Rsp] -= sizeof(ulong);
        c->Cpu.Rip = _state->ReturnRip;
        return NativeExit.Interpret;
    }

    /// <summary>Tells translated code where its jump goes on.</summary>
    /// <param name="code">0 for none: the target is cold, is not to be translated, or faults, which it does where the jump is executed.</param>
    /// <returns>False when it does not go on, also because code was dropped meanwhile.</returns>
    private bool TryFindCode(nint code)
    {
        Core->HasExit = 0;
        _state->FoundCode = code;
        return code != 0 && _generation == _engine.Cache.Generation;
    }

    /// <summary>The code for the target of a direct jump, RIP; makes the jump lead there by itself.</summary>
    private nint Connect(Core* c, int number)
    {
        ulong target = c->Cpu.Rip;
        if (_engine.Cache.LinkOf(number) is not { } link || link.Target != target)
        {
            return 0;
        }

        // A link that leads there already was only not known to hold under the present page tables. Dropping marks blocks before it moves the generation on.
        if (link.Mapping > 0 && link.Mode == _mode && link.Block is { IsDropped: false } linked)
        {
            CodePage* page = FlowHandlers.FindPage(c, target);
            if (page is null)
            {
                return 0;
            }

            if (page->Frame == linked.Frame)
            {
                _knowledge.NoteNumbered(link.Mapping, target, linked.Frame, _mode.Context);
                return linked.Code;
            }
        }

        if (FindBlock(c, target, _mode) is not { Code: not 0 } block)
        {
            return 0;
        }

        if (_engine.Cache.Connect(link, block) && link.Mapping > 0)
        {
            _knowledge.NoteMapping(link.Mapping, target, block.Frame, _mode.Context);
        }

        return block.Code;
    }

    /// <summary>Fills the look-aside tables for an access of translated code.</summary>
    /// <returns>False when the access is for the interpreter: it faults, crosses pages, or writes to code.</returns>
    private bool TryFill(ulong address, uint request)
    {
        _counters.Fills++;
        int size = (int)(request & FillRequest.SizeMask);
        bool crosses = (int)(address & (GuestMemory.PageSize - 1)) + size > GuestMemory.PageSize;

        // A misaligned operand is a fault of its own, before its page is looked at.
        if (crosses || (address & (request >> FillRequest.AlignmentShift)) != 0 || !SlowAccess.IsCanonical(address))
        {
            return false;
        }

        long closed = _windowsClosed;

        bool write = (request & (FillRequest.Write | FillRequest.Stack)) != 0;
        Core* c = Core;
        TlbEntry* entry = write ? GuestAccess.WriteEntry(c, address) : GuestAccess.ReadEntry(c, address);
        if (address + entry->NegatedTag >= GuestMemory.PageSize)
        {
            bool onlyReads = (request & (FillRequest.Write | FillRequest.Stack)) == FillRequest.Stack;
            if ((onlyReads && !IsDirty(address)) || !SlowAccess.TryEnter(c, address, write))
            {
                return false;
            }

            // The block that asks may have been dropped meanwhile, and with it the mark that its page holds code: a write to its own next instruction must not
            // go by unseen. Dropping moves the generation on before it takes the mark away, so who finds no mark finds the new generation.
            if (write && _generation != _engine.Cache.Generation)
            {
                return false;
            }
        }

        // The stack's window must stay while a group relies on it.
        if (closed != _windowsClosed)
        {
            return false;
        }

        if ((request & FillRequest.Stack) != 0)
        {
            ulong* window = _state->StackWindow + (2 * _mode.Context);
            window[0] = entry->NegatedTag;
            window[1] = entry->Addend;
        }

        return true;
    }

    /// <summary>Whether a write to an address would leave its page table entry as it is: only then a read may open the stack window, which is for both.</summary>
    private bool IsDirty(ulong address) =>
        PageWalker.TryTranslate(Engine.Memory, WalkContext(), address, PageFaultErrors.None, out PageWalker.Translation found, out _, Walks)
        && found.Writable
        && found.Dirty;

    /// <summary>Takes notice of dropped code: nothing from before may be entered.</summary>
    private void ForgetCode()
    {
        Volatile.Write(ref _generation, _engine.Cache.Generation);
        _knowledge.Forget(0);
        _knowledge.Forget(1);
    }

    private void CloseWindow(int context)
    {
        _windowsClosed++;
        ulong* window = _state->StackWindow + (2 * context);
        window[0] = _windowKey;
        window[1] = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_windowPage, 0) + _windowKey;
    }

    private void EnterMode()
    {
        const ulong OsXsave = 1 << 18;
        const ulong VectorState = 6;
        TranslationMode mode = new(
            (int)(Core->Cpu.TranslationContext & 1), (Core->Cpu.Cr4 & OsXsave) != 0 && (Core->Cpu.Xcr0 & VectorState) == VectorState);
        if (mode.AllowsVex != _mode.AllowsVex)
        {
            _knowledge.Forget(0);
            _knowledge.Forget(1);
        }

        _mode = mode;
    }

    private void BindThread()
    {
        if (_onThread != this)
        {
            ThreadSegment.SetGsBase(_state);
            _onThread = this;
        }
    }

    private void MakeFlagsLazy(Core* c)
    {
        if (!_flagsAreLazy)
        {
            _flagsAreLazy = true;
            ulong saved = _state->SavedFlags;
            ArithmeticFlags.Write(c, ((saved >> 8) & 0xD5) | ((saved & 1) << 11));
        }
    }

    private void MakeFlagsNative(Core* c)
    {
        if (_flagsAreLazy)
        {
            _flagsAreLazy = false;
            ulong flags = ArithmeticFlags.Read(c);
            _state->SavedFlags = ((flags & 0xD5) << 8) | ((flags >> 11) & 1);
        }
    }
}
