using System.Runtime.InteropServices;

namespace Shinano.Hypervisor.Mmu;

/// <summary>struct xen_memory_reservation. Source: public/memory.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct MemoryReservation
{
    /// <summary>Guest-virtual address of the list of extents; 0 for none where that is allowed.</summary>
    public readonly ulong Start;
    public readonly ulong Extents;
    public readonly uint Order;
    public readonly uint Flags;
    public readonly ushort Domain;
}
