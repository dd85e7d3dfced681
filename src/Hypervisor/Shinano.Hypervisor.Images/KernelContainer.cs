namespace Shinano.Hypervisor.Images;

/// <summary>What the kernel's ELF file came wrapped in.</summary>
public enum KernelContainer
{
    /// <summary>A bare ELF file (vmlinux, a unikernel, PV GRUB).</summary>
    Elf,

    /// <summary>A Linux bzImage with an ELF payload (boot protocol 2.08 or later).</summary>
    BzImage,
}
