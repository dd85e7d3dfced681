namespace Shinano.Hypervisor.Building;

/// <summary>Why a domain could not be built from what it was given. A closed set.</summary>
public enum DomainBuildError
{
    /// <summary>Kernel, ramdisk and start-up pages need more memory than the domain has.</summary>
    MemoryTooSmall,

    /// <summary>The ramdisk alone fills the domain's memory, or does not fit into the kernel's address space.</summary>
    RamdiskTooLarge,

    /// <summary>The kernel requires a feature, or wants to be at an address, that a PV domain cannot have.</summary>
    KernelRequirement,
}
