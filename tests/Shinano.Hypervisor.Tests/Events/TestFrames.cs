using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

/// <summary>Frames of a <see cref="TrapTestDomain"/> without an MMU: every frame of memory is the guest's, and holds are counted.</summary>
public sealed class TestFrames(TrapTestDomain domain) : IGuestFrames
{
    private readonly Dictionary<ulong, int> _holds = [];

    public int Held => _holds.Values.Sum();

    public bool TryHold(ulong frame)
    {
        if (!domain.Memory.IsRam(frame))
        {
            return false;
        }

        lock (_holds)
        {
            _holds[frame] = _holds.GetValueOrDefault(frame) + 1;
            return true;
        }
    }

    public void Release(ulong frame)
    {
        lock (_holds)
        {
            Assert.True(_holds.GetValueOrDefault(frame) > 0);
            _holds[frame]--;
        }
    }

    public bool TryHoldRead(ulong frame) => TryHold(frame);

    public void ReleaseRead(ulong frame) => Release(frame);

    public bool TryAllocateShared(out Mfn frame)
    {
        frame = new Mfn(domain.Allocate());
        return domain.Memory.IsRam(frame.Value);
    }

    public bool TryFindEntry(PvVcpu vcpu, ulong address, out ulong entry)
    {
        ulong table = vcpu.CurrentRoot;
        for (int level = 4; level > 1; level--)
        {
            if (!domain.Memory.TryReadUInt64(table + ((ulong)PageTableEntry.Index(address, level) * 8), out ulong value)
                || (value & PageTableEntry.Present) == 0)
            {
                entry = 0;
                return false;
            }

            table = value & PageTableEntry.AddressMask;
        }

        entry = table + ((ulong)PageTableEntry.Index(address, 1) * 8);
        return true;
    }

    public int ReplaceEntry(PvVcpu vcpu, ulong entry, ulong value, ulong? expectedFrame)
    {
        if (!domain.Memory.TryReadUInt64(entry, out ulong old)
            || (expectedFrame is { } frame && ((old & PageTableEntry.Present) == 0 || PageTableEntry.Frame(old) != frame)))
        {
            return -Errno.Invalid;
        }

        domain.Memory.TryWriteUInt64(entry, value);
        return 0;
    }
}
