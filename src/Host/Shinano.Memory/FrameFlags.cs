namespace Shinano.Memory;

/// <summary>What a frame of the physical space is, one byte per frame.</summary>
[Flags]
public enum FrameFlags : byte
{
    /// <summary>Nothing: an access is a hole (a PV guest's page fault, MMIO for others).</summary>
    None = 0,

    /// <summary>Readable memory is behind the frame.</summary>
    Ram = 1,

    /// <summary>Decoded or translated code came from this frame: every write must be announced to the <see cref="ICodeWatcher"/>.</summary>
    Code = 2,

    /// <summary>Guest writes are refused (ROM; frames of the hypervisor shown to the guest).</summary>
    ReadOnly = 4,

    /// <summary>The host holds references into the frame (<see cref="GuestMemory.Shared{T}"/>): it may change at any time without an announcement.</summary>
    Referenced = 8,

    /// <summary>No memory, and behind it is content of a frozen domain's that must not be seen when it becomes memory.</summary>
    Stale = 16,
}
