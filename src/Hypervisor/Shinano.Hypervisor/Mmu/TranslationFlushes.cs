namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Drops stale translations of vCPUs, and remembers when each vCPU last dropped all of them, so that a frame that changes its type is followed by a flush
/// only where one is due. Source: Xen's tlbflush clock (NEED_FLUSH).
/// </summary>
/// <remarks>
/// A vCPU that executes no guest code drops its translations before it executes more: the request suffices. The hypervisor's own accesses walk the tables.
/// Waiting here needs no lock of anybody: a vCPU leaves guest code by itself. Any thread.
/// </remarks>
public sealed class TranslationFlushes(Domain domain)
{
    private const int Contexts = 2;
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
                Record(vcpu, 0, now);
                Record(vcpu, 1, now);
            }
        }
    }

    /// <summary>Drops all translations of all vCPUs.</summary>
    public void FlushAll() => Flush(ulong.MaxValue);

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
            Flush(mask);
        }
    }

    /// <summary>A root was loaded and the translations of its context dropped, on the vCPU's thread.</summary>
    public void ContextLoaded(PvVcpu vcpu, int context) => Record(vcpu, context, Tick());

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
