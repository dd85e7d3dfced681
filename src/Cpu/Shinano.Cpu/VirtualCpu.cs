using System.Runtime.InteropServices;

namespace Shinano.Cpu;

/// <summary>
/// One vCPU of an engine. <see cref="Run"/> and <see cref="State"/> belong to one thread at a time; <see cref="Kick"/> and the flush requests may come from any.
/// </summary>
/// <remarks>
/// Translations: stale ones are dropped by the owner's <see cref="FlushTranslations"/>/<see cref="FlushPage"/> between runs, or by another thread's
/// <see cref="RequestFlush"/>, which <see cref="WaitUntilHeeded"/> makes synchronous: on its return the vCPU uses no translation from before the request. Who wants less
/// dropped than all calls the owner (<see cref="CallOwner"/>), who knows what.
/// </remarks>
public abstract unsafe class VirtualCpu : IDisposable
{
    /// <summary>Alignment of <see cref="State"/> in bytes.</summary>
    private const int StateAlignment = 64;

    private readonly byte[] _block;
    private int _inGuest;
    private int _due;

    /// <param name="engineBytes">Bytes that the engine wants right after the state and its <see cref="Attention"/> word, cleared; see there.</param>
    protected VirtualCpu(int engineBytes = 0)
    {
        // A pinned array instead of native memory: whoever may call Kick holds this object, so the word it writes cannot be freed memory.
        _block = GC.AllocateArray<byte>(sizeof(CpuState) + sizeof(ulong) + engineBytes + StateAlignment, pinned: true);
        nuint start = (nuint)Marshal.UnsafeAddrOfPinnedArrayElement(_block, 0);
        State = (CpuState*)((start + StateAlignment - 1) & ~(nuint)(StateAlignment - 1));
        RegisterTable.Reset(State);
    }

    /// <summary>The bit of <see cref="Attention"/> that <see cref="Kick"/> sets.</summary>
    protected const int KickedBit = 1;

    /// <summary>What is to be done before further guest code, in <see cref="_due"/>.</summary>
    private const int FlushDue = 1;
    private const int OwnerDue = 2;

    /// <summary>The registers; valid as long as this object. Touch only from the vCPU's own thread while it is not in <see cref="Run"/>.</summary>
    public CpuState* State { get; }

    /// <summary>Set by the owner to get <see cref="CpuExitKind.InterruptWindow"/> once interrupts become deliverable.</summary>
    public bool InterruptWindowRequested { get; set; }

    /// <summary>Instructions executed since creation, for statistics; exact at an exit.</summary>
    public abstract ulong InstructionCount { get; }

    /// <summary>
    /// What the vCPU did since its creation, always the same counters in the same order. Any thread, also while the vCPU runs, which it neither stops nor slows
    /// down: values are exact at an exit, and while it runs those of a moment ago.
    /// </summary>
    public abstract IReadOnlyList<CpuCounter> ReadCounters();

    /// <summary>
    /// The word after <see cref="State"/>, non-zero while somebody wants this vCPU's attention; engines poll it at block boundaries. <see cref="KickedBit"/>
    /// belongs to the contract, the others to the engine; changed with interlocked operations only. The engine's own bytes follow 8 bytes after it.
    /// </summary>
    protected int* Attention => (int*)(State + 1);

    /// <summary>Runs guest code until the next exit. Does not allocate on the hot path; does not throw for anything a guest does.</summary>
    /// <remarks>An owner who is called (<see cref="CallOwner"/>) gets <see cref="CpuExitKind.Kicked"/>, and no guest code is executed.</remarks>
    public void Run(out CpuExit exit)
    {
        exit = default;
        Interlocked.Exchange(ref _inGuest, 1);
        int due = Volatile.Read(ref _due);
        if ((due & FlushDue) != 0)
        {
            Interlocked.And(ref _due, ~FlushDue);
            FlushTranslations();
        }

        if ((due & OwnerDue) != 0)
        {
            exit.Kind = CpuExitKind.Kicked;
        }
        else
        {
            RunCore(ref exit);
        }

        Volatile.Write(ref _inGuest, 0);
        if (exit.Kind == CpuExitKind.Kicked)
        {
            Interlocked.And(ref *Attention, ~KickedBit);
        }
    }

    /// <summary>Makes the vCPU leave <see cref="Run"/> soon with <see cref="CpuExitKind.Kicked"/>; remembered when it is not running.</summary>
    public void Kick() => Interlocked.Or(ref *Attention, KickedBit);

    /// <summary>Asks that all translations be dropped before the vCPU executes further guest code. Any thread.</summary>
    public void RequestFlush() => MakeDue(FlushDue);

    /// <summary>Asks that the vCPU execute no further guest code, and use none of its translations, before its owner has called <see cref="TakeCall"/>. Any thread.</summary>
    public void CallOwner() => MakeDue(OwnerDue);

    /// <summary>Whether the owner was called since it last asked. Owner's thread, between runs: it does then what it was called for.</summary>
    public bool TakeCall() => (Volatile.Read(ref _due) & OwnerDue) != 0 && (Interlocked.And(ref _due, ~OwnerDue) & OwnerDue) != 0;

    /// <summary>
    /// Waits until a <see cref="RequestFlush"/> or a <see cref="CallOwner"/> made before keeps the vCPU from guest code. Must not be called from inside <see cref="Run"/> of
    /// another vCPU.
    /// </summary>
    public void WaitUntilHeeded()
    {
        SpinWait spinner = default;
        while (Volatile.Read(ref _due) != 0 && Volatile.Read(ref _inGuest) != 0)
        {
            spinner.SpinOnce();
        }
    }

    /// <summary>Drops every translation of both contexts. Owner's thread, or inside <see cref="Run"/>.</summary>
    public abstract void FlushTranslations();

    /// <summary>Drops the translations of one context (<see cref="CpuState.TranslationContext"/>), as when its root was loaded anew.</summary>
    public abstract void FlushContext(int context);

    /// <summary>
    /// As <see cref="FlushContext"/>, but translations that lead to none of the frames may stay: the owner vouches that the tables are the same, and that no other
    /// entry in them changed, also none of accessed and dirty bits to 0.
    /// </summary>
    /// <param name="context">See <see cref="CpuState.TranslationContext"/>.</param>
    /// <param name="changed">Where changed entries led.</param>
    /// <param name="keepsLowerHalf">False: it holds for addresses with bit 63 set only, and translations of the others go.</param>
    public virtual void FlushChanged(int context, FrameFilter changed, bool keepsLowerHalf) => FlushContext(context);

    /// <summary>Drops the translation of the page that holds <paramref name="linear"/>, in both contexts.</summary>
    public abstract void FlushPage(ulong linear);

    /// <summary>
    /// Looks an address up among the translations that the vCPU holds, as an access by the guest would, without a walk. Owner's thread, between runs.
    /// </summary>
    /// <param name="context">Whose translations; see <see cref="CpuState.TranslationContext"/>.</param>
    /// <param name="linear">Address of a byte.</param>
    /// <param name="write">Whether a write must be allowed, the page's dirty bit set.</param>
    /// <param name="physical">The byte's physical address.</param>
    /// <returns>False when there is none, which says nothing about the page tables.</returns>
    public bool TryLookAside(int context, ulong linear, bool write, out ulong physical)
    {
        physical = 0;
        return Volatile.Read(ref _due) == 0 && TryLookAsideCore(context, linear, write, out physical);
    }

    /// <summary><see cref="TryLookAside"/> of an engine that holds translations where it can find them.</summary>
    protected virtual bool TryLookAsideCore(int context, ulong linear, bool write, out ulong physical)
    {
        physical = 0;
        return false;
    }

    /// <summary>Runs until an exit and leaves <see cref="State"/> complete. Polls <see cref="Attention"/> at least once per backward branch or block.</summary>
    protected abstract void RunCore(ref CpuExit exit);

    private void MakeDue(int what)
    {
        Interlocked.Or(ref _due, what);
        if (Volatile.Read(ref _inGuest) != 0)
        {
            Kick();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the engine holds. Not while running.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }
}
