using System.Runtime.InteropServices;

namespace Shinano.Hypervisor.Mmu;

/// <summary>struct mmuext_op of public/xen.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmuExtRequest
{
    public uint Command;
    private readonly uint _padding;

    /// <summary>mfn or linear_addr.</summary>
    public ulong Argument1;

    /// <summary>nr_ents, vcpumask or src_mfn.</summary>
    public ulong Argument2;
}
