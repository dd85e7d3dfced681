using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>A disk's statistics, named as Linux's back end names them in sysfs. Thread-safe.</summary>
internal sealed class BlockCounters
{
    private long _reads;
    private long _writes;
    private long _flushes;
    private long _discards;
    private long _full;
    private long _errors;
    private long _sectorsRead;
    private long _sectorsWritten;

    public void CountRead(int bytes)
    {
        Interlocked.Increment(ref _reads);
        Interlocked.Add(ref _sectorsRead, bytes / BlockSegment.SectorSize);
    }

    public void CountWrite(int bytes)
    {
        Interlocked.Increment(ref _writes);
        Interlocked.Add(ref _sectorsWritten, bytes / BlockSegment.SectorSize);
    }

    public void CountFlush() => Interlocked.Increment(ref _flushes);

    public void CountDiscard() => Interlocked.Increment(ref _discards);

    /// <summary>Requests waited for room.</summary>
    public void CountFull() => Interlocked.Increment(ref _full);

    public void CountError() => Interlocked.Increment(ref _errors);

    public IReadOnlyList<DeviceCounter> Read() =>
    [
        new("oo_req", Volatile.Read(ref _full)),
        new("rd_req", Volatile.Read(ref _reads)),
        new("wr_req", Volatile.Read(ref _writes)),
        new("f_req", Volatile.Read(ref _flushes)),
        new("ds_req", Volatile.Read(ref _discards)),
        new("rd_sect", Volatile.Read(ref _sectorsRead)),
        new("wr_sect", Volatile.Read(ref _sectorsWritten)),
        new("errors", Volatile.Read(ref _errors)),
    ];
}
