using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Time;

/// <summary>
/// Keeps the time records in the vCPUs' struct vcpu_info young, as Xen does: for guests that read system_time without adding what the TSC says since. All
/// records lie on one line, exactly, so a guest that does add it sees the same time from each. Thread-safe.
/// </summary>
/// <remarks>Source: public/xen.h: struct vcpu_time_info, with the protocol of its version: odd while the record changes.</remarks>
public sealed class TimeRecords(Domain domain, DomainClock clock)
{
    /// <summary>Age at which the record of a vCPU that keeps running is renewed (Xen's calibration interval), nanoseconds.</summary>
    public const ulong Interval = 1_000_000_000;

    private readonly Lock _lock = new();
    private readonly ulong[] _published = new ulong[domain.MaximumVcpus];

    /// <summary>Writes a vCPU's record where its vcpu_info is now. Any thread.</summary>
    /// <param name="force">Even if it has been written there: the place is a new one.</param>
    public void Publish(PvVcpu vcpu, bool force)
    {
        lock (_lock)
        {
            ulong record = clock.CurrentRecord;
            if (!force && record == _published[vcpu.Id])
            {
                return;
            }

            _published[vcpu.Id] = record;
            Span<byte> info = stackalloc byte[VcpuInfoLayout.TimeSize];
            clock.WriteTimeInfo(info, record);
            GuestMemory memory = domain.Memory;
            ulong place = vcpu.VcpuInfoAddress + VcpuInfoLayout.Time;
            ref uint version = ref memory.Shared<uint>(place + VcpuInfoLayout.TimeVersion);
            uint odd = (version + 1) | 1;
            Volatile.Write(ref version, odd);
            Interlocked.MemoryBarrier();
            memory.TryWrite(place + VcpuInfoLayout.TscTimestamp, info[VcpuInfoLayout.TscTimestamp..]);
            Interlocked.MemoryBarrier();
            Volatile.Write(ref version, odd + 1);
        }
    }

    /// <summary>Renews the records of the vCPUs that run.</summary>
    /// <returns>Whether any does.</returns>
    public bool PublishRunning()
    {
        bool any = false;
        foreach (PvVcpu vcpu in domain.Vcpus)
        {
            if (vcpu.Scheduling.State == RunState.Running)
            {
                Publish(vcpu, force: false);
                any = true;
            }
        }

        return any;
    }
}
