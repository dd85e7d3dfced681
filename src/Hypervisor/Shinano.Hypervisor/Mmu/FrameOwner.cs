namespace Shinano.Hypervisor.Mmu;

/// <summary>Whose a frame of the machine space is.</summary>
public enum FrameOwner : byte
{
    /// <summary>Nobody's: free.</summary>
    Nobody = 0,

    /// <summary>The guest's memory.</summary>
    Guest,

    /// <summary>A page of the hypervisor that the guest may map writable: shared info, grant tables.</summary>
    Shared,

    /// <summary>The hypervisor's own: M2P and its page tables. The guest cannot name it.</summary>
    Hypervisor,
}
