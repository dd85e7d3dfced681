using System.Runtime.InteropServices;
using Shinano.Hypervisor.Traps;
using Shinano.SavedState;

namespace Shinano.Hypervisor.Time;

/// <summary>How long a vCPU has been in each run state, and the guest's copy of it. Source: public/vcpu.h: struct vcpu_runstate_info.</summary>
public sealed class RunStateAccount
{
    /// <summary>sizeof(struct vcpu_runstate_info).</summary>
    public const int Size = 48;

    /// <summary>XEN_RUNSTATE_UPDATE, in state_entry_time while the guest's copy changes.</summary>
    private const ulong UpdateFlag = 1UL << 63;

    private readonly DomainClock _clock;
    private readonly Func<bool> _marksUpdates;
    private readonly Lock _lock = new();
    private readonly ulong[] _times = new ulong[4];
    private RunState _state = RunState.Offline;
    private ulong _entered;

    /// <param name="marksUpdates">VMASST_TYPE_runstate_update_flag is on.</param>
    public RunStateAccount(DomainClock clock, Func<bool> marksUpdates)
    {
        _clock = clock;
        _marksUpdates = marksUpdates;
        _entered = clock.Now;
    }

    /// <summary>Kernel-virtual address of the guest's copy; 0 for none.</summary>
    public ulong GuestArea { get; set; }

    /// <summary>For <see cref="VcpuScheduling.StateChanged"/>.</summary>
    public void Enter(PvVcpu vcpu, RunState state)
    {
        lock (_lock)
        {
            // Another CPU's counter may be a few ticks behind.
            ulong now = Math.Max(_clock.Now, _entered);
            _times[(int)_state] += now - _entered;
            _state = state;
            _entered = now;
        }

        Publish(vcpu);
    }

    /// <summary>Nanoseconds in each state, the current one up to now.</summary>
    public void Write(Span<byte> info)
    {
        lock (_lock)
        {
            ulong now = Math.Max(_clock.Now, _entered);
            info.Clear();
            MemoryMarshal.Write(info, (int)_state);
            MemoryMarshal.Write(info[8..], _entered);
            for (int i = 0; i < _times.Length; i++)
            {
                MemoryMarshal.Write(info[(16 + (i * 8))..], _times[i] + (i == (int)_state ? now - _entered : 0));
            }
        }
    }

    /// <summary>Writes the account of a vCPU of a paused domain.</summary>
    internal void Save(StateWriter writer)
    {
        lock (_lock)
        {
            ulong now = Math.Max(_clock.Now, _entered);
            for (int i = 0; i < _times.Length; i++)
            {
                writer.Put(_times[i] + (i == (int)_state ? now - _entered : 0));
            }
        }

        writer.Put(GuestArea);
    }

    /// <summary>Reads what <see cref="Save"/> wrote: from now on the vCPU is offline until it runs.</summary>
    internal void Load(StateReader reader)
    {
        lock (_lock)
        {
            for (int i = 0; i < _times.Length; i++)
            {
                _times[i] = reader.Get<ulong>();
            }

            _state = RunState.Offline;
            _entered = _clock.Now;
        }

        GuestArea = reader.Get<ulong>();
    }

    /// <summary>Brings the guest's copy up to date. On the vCPU's thread.</summary>
    public void Publish(PvVcpu vcpu)
    {
        ulong area = GuestArea;
        if (area == 0)
        {
            return;
        }

        Span<byte> info = stackalloc byte[Size];
        Write(info);
        if (_marksUpdates())
        {
            ulong entered = MemoryMarshal.Read<ulong>(info[8..]);
            Span<byte> marked = stackalloc byte[8];
            MemoryMarshal.Write(marked, entered | UpdateFlag);
            vcpu.Guest.TryWriteKernel(area + 8, marked);
            vcpu.Guest.TryWriteKernel(area, info[..8]);
            vcpu.Guest.TryWriteKernel(area + 16, info[16..]);
            vcpu.Guest.TryWriteKernel(area + 8, info[8..16]);
        }
        else
        {
            vcpu.Guest.TryWriteKernel(area, info);
        }
    }
}
