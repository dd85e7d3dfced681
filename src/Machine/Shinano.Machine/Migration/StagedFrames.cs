using Shinano.Hypervisor.Mmu;

namespace Shinano.Machine.Migration;

/// <summary>Pages of a domain that arrive before it is known which frames are the guest's. Any frame that a guest could have may come, and none of the hypervisor's own.</summary>
internal sealed class StagedFrames(MachineSpace space)
{
    private readonly HashSet<ulong> _frames = [];

    /// <summary>Makes room for a frame's content.</summary>
    /// <returns>False when it cannot be one of the guest's.</returns>
    public bool Admit(ulong frame)
    {
        if (frame < MachineSpace.FirstFrame || frame >= space.FirstM2PFrame)
        {
            return false;
        }

        if (_frames.Add(frame) && !space.Memory.IsRam(frame))
        {
            space.Memory.AddRam(frame, 1);
        }

        return true;
    }

    /// <summary>Drops what is not the guest's, now that it has its frames: what it gave back meanwhile.</summary>
    public void DropStrays()
    {
        foreach (ulong frame in _frames.Where(frame => !space.IsGuests(frame)))
        {
            space.Memory.RemoveRam(frame);
        }
    }
}
