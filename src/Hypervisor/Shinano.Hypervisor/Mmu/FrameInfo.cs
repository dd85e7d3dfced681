using System.Runtime.InteropServices;

namespace Shinano.Hypervisor.Mmu;

/// <summary>What the MMU keeps of each frame. Source: Xen's struct page_info.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FrameInfo
{
    /// <summary>References of type <see cref="Type"/>: entries of that kind, a pin, a loaded root.</summary>
    public int TypeCount;

    /// <summary>All page-table entries that name the frame, whatever their rights.</summary>
    public int References;

    /// <summary>Value of the flush counter when the last writable mapping went: until the next flush a CPU may still write through it.</summary>
    public uint WritableUntil;
    public FrameType Type;
    public FrameOwner Owner;
    public bool Pinned;
}
