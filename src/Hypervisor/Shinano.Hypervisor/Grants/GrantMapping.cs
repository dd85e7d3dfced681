using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>A mapping of a grant that the guest made itself: what a handle stands for. Guarded by the lock of <see cref="GrantMappings"/>.</summary>
internal sealed class GrantMapping(uint reference, ulong frame, GrantMapFlags flags)
{
    public uint Reference { get; } = reference;

    public ulong Frame { get; } = frame;

    /// <summary>As given; <see cref="GrantMapFlags.Host"/> and <see cref="GrantMapFlags.Device"/> are cleared as they are undone.</summary>
    public GrantMapFlags Flags { get; set; } = flags;

    public bool IsReadOnly => (Flags & GrantMapFlags.ReadOnly) != 0;
}
