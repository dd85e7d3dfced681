using System.Runtime.InteropServices;
using Shinano.Memory;

namespace Shinano.Hypervisor.Time;

/// <summary>
/// A domain's system time: nanoseconds since its creation, a fixed function of the host's TSC, so that all vCPUs and the hypervisor agree and time never goes
/// back. Source: public/xen.h: struct vcpu_time_info.
/// </summary>
public sealed class DomainClock
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong WallClockOffset = 3072;
    private const byte TscStable = 1;
    private const int MultiplierZeros = 8;

    private readonly Func<ulong> _readTsc;
    private readonly ulong _origin;
    private readonly ulong _startTime;
    private readonly uint _multiplier;
    private readonly int _shift;
    private readonly ulong _recordTicks;

    /// <param name="readTsc">The counter that the guest's RDTSC shows, in ticks.</param>
    /// <param name="frequency">Ticks per second.</param>
    /// <param name="startTime">System time now, nanoseconds: that of a domain which goes on where it was saved.</param>
    public DomainClock(Func<ulong> readTsc, long frequency, ulong startTime = 0)
    {
        _readTsc = readTsc;
        _origin = readTsc();
        _startTime = startTime;
        ulong scaled = (ulong)frequency;
        while (scaled > 2 * NanosecondsPerSecond)
        {
            scaled >>= 1;
            _shift--;
        }

        while (scaled <= NanosecondsPerSecond)
        {
            scaled <<= 1;
            _shift++;
        }

        // A multiplier with zeros at its end, at most 0.12 millionths too small, makes whole numbers of nanoseconds of every RecordTicks ticks.
        _multiplier = (uint)((NanosecondsPerSecond << 32) / scaled) & ~((1u << MultiplierZeros) - 1);
        _recordTicks = 1UL << (32 - MultiplierZeros + Math.Max(0, -_shift));
    }

    /// <summary>System time now, nanoseconds.</summary>
    public ulong Now
    {
        get
        {
            // CPUs' counters may differ by a few ticks.
            ulong ticks = _readTsc();
            return _startTime + (ticks > _origin ? Scale(ticks - _origin) : 0);
        }
    }

    /// <summary>Number of the youngest time record: a new one begins every few milliseconds, where ticks make whole nanoseconds.</summary>
    public ulong CurrentRecord
    {
        get
        {
            ulong ticks = _readTsc();
            return ticks > _origin ? (ticks - _origin) / _recordTicks : 0;
        }
    }

    /// <summary>A vcpu_time_info, 32 bytes with version 2, that makes a guest compute <see cref="Now"/>, to the nanosecond, whichever record it is.</summary>
    public void WriteTimeInfo(Span<byte> info, ulong record)
    {
        info.Clear();
        MemoryMarshal.Write(info, 2u);
        MemoryMarshal.Write(info[8..], _origin + (record * _recordTicks));
        MemoryMarshal.Write(info[16..], _startTime + Scale(record * _recordTicks));
        MemoryMarshal.Write(info[24..], _multiplier);
        info[28] = (byte)(sbyte)_shift;
        info[29] = TscStable;
    }

    /// <summary>Writes the wall clock at system time 0 into the shared info page (wc_version, wc_sec, wc_nsec, wc_sec_hi).</summary>
    public void WriteWallClock(GuestMemory memory, ulong sharedInfo, DateTimeOffset now)
    {
        ulong nanoseconds = ((ulong)(now - DateTimeOffset.UnixEpoch).Ticks * 100) - Now;
        ulong seconds = nanoseconds / NanosecondsPerSecond;
        ref uint version = ref memory.Shared<uint>(sharedInfo + WallClockOffset);
        Volatile.Write(ref version, (version + 1) | 1);
        Interlocked.MemoryBarrier();
        memory.Shared<uint>(sharedInfo + WallClockOffset + 4) = (uint)seconds;
        memory.Shared<uint>(sharedInfo + WallClockOffset + 8) = (uint)(nanoseconds % NanosecondsPerSecond);
        memory.Shared<uint>(sharedInfo + WallClockOffset + 12) = (uint)(seconds >> 32);
        Interlocked.MemoryBarrier();
        Volatile.Write(ref version, version + 1);
    }

    private ulong Scale(ulong ticks) =>
        (ulong)(((_shift < 0 ? (UInt128)(ticks >> -_shift) : (UInt128)ticks << _shift) * _multiplier) >> 32);
}
