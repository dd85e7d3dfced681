using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Progress through the requests of mmu_update and mmuext_op, whose arguments are alike: requests, count, where to store the number done, domain. A restarted call
/// finds the rest of its requests in its arguments, and MMU_UPDATE_PREEMPTED in the count.
/// </summary>
internal ref struct BatchProgress
{
    private const uint Preempted = 0x8000_0000;

    private readonly PvVcpu _vcpu;
    private readonly ulong _doneAddress;
    private readonly ulong _size;
    private readonly uint _before;
    private uint _left;

    public BatchProgress(PvVcpu vcpu, in HypercallArguments arguments, ulong requestSize)
    {
        _vcpu = vcpu;
        _size = requestSize;
        _doneAddress = arguments.A3;
        Address = arguments.A1;
        uint count = (uint)arguments.A2;
        _left = count & ~Preempted;
        if ((count & Preempted) != 0 && _doneAddress != 0)
        {
            // The guest may have changed it meanwhile; it is only told what it said.
            vcpu.Guest.TryRead(_doneAddress, out _before);
        }
    }

    /// <summary>Guest-virtual address of the next request.</summary>
    public ulong Address { get; private set; }

    /// <summary>Requests served since the call was started or restarted.</summary>
    public uint Done { get; private set; }

    /// <summary>No request is left.</summary>
    public readonly bool IsComplete => _left == 0;

    /// <summary>A request was served.</summary>
    public void Advance()
    {
        Address += _size;
        Done++;
        _left--;
    }

    /// <summary>Stores the number done and makes the hypercall's result.</summary>
    /// <param name="result">0 or a negated <see cref="Errno"/>.</param>
    /// <param name="isFinal">False: the call is restarted with what is left.</param>
    public readonly long End(long result, bool isFinal)
    {
        // As Xen: that the number cannot be stored is no error.
        if (_doneAddress != 0)
        {
            _vcpu.Guest.TryWrite(_doneAddress, _before + Done);
        }

        if (isFinal)
        {
            return result;
        }

        _vcpu.SetArgument(0, Address);
        _vcpu.SetArgument(1, _left | Preempted);
        return HypercallTable.Restart;
    }
}
