using Shinano.Cpu;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Drops stale translations of vCPUs, and remembers when each vCPU last dropped all of them, so that a frame that changes its type is followed by a flush
/// only where one is due. Source: Xen's tlbflush clock (NEED_FLUSH).
/// </summary>
/// <remarks>
/// A vCPU that executes no guest code drops its translations before it executes more: the request suffices. The hypervisor's own accesses walk the tables.
/// Waiting here needs no lock of anybody: a vCPU leaves guest code by itself. Any thread.
/// </remarks>
public sealed class TranslationFlushes(Domain domain, Lock mmuLock)
{
    private const int Contexts = 2;
    private readonly FrameFilter _changed = new();
    private readonly uint[] _flushedAt = new uint[domain.MaximumVcpus * Contexts];
    private uint _now = 1;

    /// <summary>The present time, from 1; a flush moves it on.</summary>
    public uint Now => Volatile.Read(ref _now);

    /// <summary>Drops all translations of the vCPUs in <paramref name="mask"/>; on return none of them uses one from before the call.</summary>
    public void Flush(ulong mask)
    {
        uint now = Tick();
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            if ((mask >> vcpu.Id & 1) != 0)
            {
                vcpu.Cpu.RequestFlush();
            }
        }

        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            if ((mask >> vcpu.Id & 1) != 0)
            {
                vcpu.Cpu.WaitUntilFlushed();
                Record(vcpu, now);
            }
        }
    }

    /// <summary>
    /// As <see cref="Flush"/>, for all that <see cref="Changes"/> knows of: the vCPU of the calling thread keeps the translations that are the page tables' still.
    /// </summary>
    public void FlushChanged(ulong mask)
    {
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            ulong bit = 1UL << vcpu.Id;
            if ((mask & bit) != 0 && vcpu.IsOnOwnThread)
            {
                mask &= ~bit;
                vcpu.DueFlush = this;
                Record(vcpu, Tick());
            }
        }

        if (mask != 0)
        {
            Flush(mask);
        }
    }

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
            Flush(mask & ~own);
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
        foreach (PvVcpu vcpu in domain.Vcpus)
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
        DropChanged(vcpu, context, keepsUpperHalf, keepsLowerHalf: false);
        Record(vcpu, context, Tick());
    }

    /// <summary>Does what <see cref="FlushChanged"/> left to do for a vCPU, on its thread and before it uses a translation: once, however often it was asked for.</summary>
    internal void Settle(PvVcpu vcpu)
    {
        vcpu.DueFlush = null;
        lock (mmuLock)
        {
            for (int context = 0; context < Contexts; context++)
            {
                DropChanged(vcpu, context, keepsUpperHalf: true, keepsLowerHalf: true);
            }
        }
    }

    private void DropChanged(PvVcpu vcpu, int context, bool keepsUpperHalf, bool keepsLowerHalf)
    {
        ref long seen = ref vcpu.SeenLeafChanges[context];
        if (keepsUpperHalf && Changes.TryCollect(seen, _changed))
        {
            vcpu.Cpu.FlushChanged(context, _changed, keepsLowerHalf);
        }
        else
        {
            vcpu.Cpu.FlushContext(context);
        }

        seen = Changes.Count;
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
