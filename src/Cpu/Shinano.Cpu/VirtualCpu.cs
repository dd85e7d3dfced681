using System.Runtime.InteropServices;

namespace Shinano.Cpu;

/// <summary>
/// One vCPU of an engine. <see cref="Run"/> and <see cref="State"/> belong to one thread at a time; <see cref="Kick"/> and the flush requests may come from any.
/// </summary>
/// <remarks>
/// Translations: stale ones are dropped by the owner's <see cref="FlushTranslations"/>/<see cref="FlushPage"/> between runs, or by another thread's
/// <see cref="RequestFlush"/>, which <see cref="WaitUntilFlushed"/> makes synchronous: on its return the vCPU uses no translation from before the request.
/// </remarks>
public abstract unsafe class VirtualCpu : IDisposable
{
    private int _inGuest;
    private int _flushRequested;
    private int _kicked;

    protected VirtualCpu()
    {
        State = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        RegisterTable.Reset(State);
    }

    /// <summary>The registers; valid until <see cref="Dispose"/>. Touch only from the vCPU's own thread while it is not in <see cref="Run"/>.</summary>
    public CpuState* State { get; }

    /// <summary>Set by the owner to get <see cref="CpuExitKind.InterruptWindow"/> once interrupts become deliverable.</summary>
    public bool InterruptWindowRequested { get; set; }

    /// <summary>Instructions executed since creation, for statistics; exact at an exit.</summary>
    public abstract ulong InstructionCount { get; }

    /// <summary>Non-zero while somebody wants this vCPU out of guest code; engines poll it at block boundaries.</summary>
    protected ref int KickedFlag => ref _kicked;

    /// <summary>Runs guest code until the next exit. Does not allocate on the hot path; does not throw for anything a guest does.</summary>
    public void Run(out CpuExit exit)
    {
        Interlocked.Exchange(ref _inGuest, 1);
        if (Interlocked.Exchange(ref _flushRequested, 0) != 0)
        {
            FlushTranslations();
        }

        exit = default;
        RunCore(ref exit);
        Volatile.Write(ref _inGuest, 0);
        if (exit.Kind == CpuExitKind.Kicked)
        {
            Volatile.Write(ref _kicked, 0);
        }
    }

    /// <summary>Makes the vCPU leave <see cref="Run"/> soon with <see cref="CpuExitKind.Kicked"/>; remembered when it is not running.</summary>
    public void Kick() => Volatile.Write(ref _kicked, 1);

    /// <summary>Asks that all translations be dropped before the vCPU executes further guest code. Any thread.</summary>
    public void RequestFlush()
    {
        Interlocked.Exchange(ref _flushRequested, 1);
        if (Volatile.Read(ref _inGuest) != 0)
        {
            Kick();
        }
    }

    /// <summary>Waits until a <see cref="RequestFlush"/> made before has taken effect. Must not be called from inside <see cref="Run"/> of another vCPU.</summary>
    public void WaitUntilFlushed()
    {
        SpinWait spinner = default;
        while (Volatile.Read(ref _flushRequested) != 0 && Volatile.Read(ref _inGuest) != 0)
        {
            spinner.SpinOnce();
        }
    }

    /// <summary>Drops every translation of both contexts. Owner's thread, or inside <see cref="Run"/>.</summary>
    public abstract void FlushTranslations();

    /// <summary>Drops the translations of one context (<see cref="CpuState.TranslationContext"/>), as when its root was loaded anew.</summary>
    public abstract void FlushContext(int context);

    /// <summary>Drops the translation of the page that holds <paramref name="linear"/>, in both contexts.</summary>
    public abstract void FlushPage(ulong linear);

    /// <summary>Runs until an exit and leaves <see cref="State"/> complete. Polls <see cref="KickedFlag"/> at least once per backward branch or block.</summary>
    protected abstract void RunCore(ref CpuExit exit);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the engine holds. Not while running.</summary>
    protected virtual void Dispose(bool disposing)
    {
        NativeMemory.AlignedFree(State);
    }
}
