namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Drops stale translations of vCPUs, and remembers when each vCPU last dropped all of them, so that a frame that changes its type is followed by a flush
/// only where one is due. Source: Xen's tlbflush clock (NEED_FLUSH).
/// </summary>
/// <remarks>
/// A vCPU that executes no guest code drops its translations before it executes more: the request suffices. The hypervisor's own accesses walk the tables.
/// Waiting here needs no lock of anybody: a vCPU leaves guest code by itself. Any thread.
/// </remarks>
public sealed class TranslationFlushes
{
    private const int Contexts = 2;
    private readonly Domain _domain;
    private readonly Lock _mmuLock;
    private readonly uint[] _flushedAt;
    private uint _now = 1;

    public TranslationFlushes(Domain domain, Lock mmuLock)
    {
        _domain = domain;
        _mmuLock = mmuLock;
        _flushedAt = new uint[domain.MaximumVcpus * Contexts];
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            vcpu.Called = DropChanged;
        }
    }

    /// <summary>The present time, from 1; a flush moves it on.</summary>
    public uint Now => Volatile.Read(ref _now);

    /// <summary>Drops all translations of the vCPUs in <paramref name="mask"/>; on return none of them uses one from before the call.</summary>
    public void Flush(ulong mask) => Ask(mask, static vcpu => vcpu.Cpu.RequestFlush());

    /// <summary>As <see cref="Flush"/>, for all that <see cref="Changes"/> knows of: translations that are the page tables' still are kept.</summary>
    public void FlushChanged(ulong mask) => Ask(mask, static vcpu => vcpu.Cpu.CallOwner());

    /// <summary>Drops translations of one page; <paramref name="caller"/> is the vCPU of this thread.</summary>
    public void FlushPage(PvVcpu caller, ulong mask, ulong linear)
    {
        ulong own = 1UL << caller.Id;
        if ((mask & own) != 0)
        {
            caller.Cpu.FlushPage(linear);
        }

        if ((mask & ~own) != 0)
        {
            FlushChanged(mask & ~own);
        }
    }

    /// <summary>Drops the translations of vCPUs that may have some from <paramref name="time"/> or before; 0 is before everything.</summary>
    public void FlushStale(uint time)
    {
        if (time == 0)
        {
            return;
        }

        ulong mask = 0;
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            int first = vcpu.Id * Contexts;
            if (Volatile.Read(ref _flushedAt[first]) <= time || Volatile.Read(ref _flushedAt[first + 1]) <= time)
            {
                mask |= 1UL << vcpu.Id;
            }
        }

        if (mask != 0)
        {
            FlushChanged(mask);
        }
    }

    /// <summary>Changes of last-level entries. Under the MMU lock.</summary>
    internal LeafChanges Changes { get; } = new();

    /// <summary>Drops the translations of a context whose root was loaded. On the vCPU's thread or before its first run, under the MMU lock.</summary>
    /// <param name="keepsUpperHalf">The root has the same tables as the one before for addresses with bit 63 set: what did not change there may stay.</param>
    internal void RootLoaded(PvVcpu vcpu, int context, bool keepsUpperHalf)
    {
        ref long seen = ref vcpu.SeenLeafChanges[context];
        DropChanged(vcpu, context, keepsUpperHalf && Changes.TryCollect(seen, vcpu.ChangedFrames), keepsLowerHalf: false);
        seen = Changes.Count;
        Record(vcpu, context, Tick());
    }

    private void Ask(ulong mask, Action<PvVcpu> request)
    {
        uint now = Tick();
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            if ((mask >> vcpu.Id & 1) != 0)
            {
                request(vcpu);
            }
        }

        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            if ((mask >> vcpu.Id & 1) != 0)
            {
                vcpu.Cpu.WaitUntilHeeded();
                Record(vcpu, now);
            }
        }
    }

    /// <summary>Does what <see cref="FlushChanged"/> asked a vCPU for, on its thread and before it uses a translation: once, however often it was asked.</summary>
    private void DropChanged(PvVcpu vcpu)
    {
        bool isKnown;
        lock (_mmuLock)
        {
            isKnown = Changes.TryCollect(Math.Min(vcpu.SeenLeafChanges[0], vcpu.SeenLeafChanges[1]), vcpu.ChangedFrames);
            vcpu.SeenLeafChanges.AsSpan().Fill(Changes.Count);
        }

        for (int context = 0; context < Contexts; context++)
        {
            DropChanged(vcpu, context, isKnown, keepsLowerHalf: true);
        }
    }

    private static void DropChanged(PvVcpu vcpu, int context, bool isKnown, bool keepsLowerHalf)
    {
        if (isKnown)
        {
            vcpu.Cpu.FlushChanged(context, vcpu.ChangedFrames, keepsLowerHalf);
        }
        else
        {
            vcpu.Cpu.FlushContext(context);
        }
    }

    /// <summary>Of both contexts.</summary>
    private void Record(PvVcpu vcpu, uint time)
    {
        for (int context = 0; context < Contexts; context++)
        {
            Record(vcpu, context, time);
        }
    }

    private void Record(PvVcpu vcpu, int context, uint time) => Volatile.Write(ref _flushedAt[(vcpu.Id * Contexts) + context], time);

    private uint Tick()
    {
        uint now = Interlocked.Increment(ref _now);
        if (now == 0)
        {
            // The clock went round: nothing counts as flushed until it is again.
            Array.Clear(_flushedAt);
            now = Interlocked.Increment(ref _now);
        }

        return now;
    }
}
