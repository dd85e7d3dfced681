using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Hypervisor;

/// <summary>
/// The hypervisor's copy_from_guest and copy_to_guest: guest-virtual access through the vCPU's current page tables with the guest's own rights.
/// Always copies: the caller validates what it has, not what the guest may change meanwhile.
/// </summary>
public sealed class GuestAccess(GuestMemory memory, PvVcpu vcpu)
{
    /// <summary>Linear address of the last failed access, for page faults that are to be injected.</summary>
    public ulong FaultAddress { get; private set; }

    /// <summary>Error code of the last failed access.</summary>
    public PageFaultErrors FaultErrors { get; private set; }

    /// <summary>Copies from guest-virtual memory; false when any byte is not readable.</summary>
    public bool TryRead(ulong address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int chunk = Chunk(address, destination.Length);
            if (!TryTranslate(address, PageFaultErrors.None, out ulong physical) || !memory.TryRead(physical, destination[..chunk]))
            {
                return false;
            }

            destination = destination[chunk..];
            address += (ulong)chunk;
        }

        return true;
    }

    /// <summary>Copies to guest-virtual memory; false, possibly after a partial write, when any byte is not writable.</summary>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source) => TryWrite(vcpu.InKernel, address, source);

    /// <summary>Copies to the guest kernel's memory, whatever mode the vCPU is in.</summary>
    public bool TryWriteKernel(ulong address, ReadOnlySpan<byte> source) => TryWrite(kernel: true, address, source);

    /// <summary>Copies one structure in.</summary>
    public bool TryRead<T>(ulong address, out T value)
        where T : unmanaged
    {
        value = default;
        return TryRead(address, MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Copies one structure out.</summary>
    public bool TryWrite<T>(ulong address, T value)
        where T : unmanaged =>
        TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>Translates as the guest's current mode would; on failure <see cref="FaultAddress"/> and <see cref="FaultErrors"/> say why.</summary>
    public bool TryTranslate(ulong address, PageFaultErrors access, out ulong physical) =>
        TryTranslate(vcpu.InKernel, address, access, out physical);

    private bool TryWrite(bool kernel, ulong address, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int chunk = Chunk(address, source.Length);
            if (!TryTranslate(kernel, address, PageFaultErrors.Write, out ulong physical) || !memory.TryWrite(physical, source[..chunk]))
            {
                return false;
            }

            source = source[chunk..];
            address += (ulong)chunk;
        }

        return true;
    }

    private bool TryTranslate(bool kernel, ulong address, PageFaultErrors access, out ulong physical)
    {
        // What the guest's own accesses left in the engine's tables, its kernel's stack above all, needs no walk. The frame may have become a page table
        // since: the walk says what follows.
        bool write = access == PageFaultErrors.Write;
        if ((write || access == PageFaultErrors.None) && vcpu.Cpu.TryLookAside(kernel ? 0 : 1, address, write, out physical)
            && (!write || (memory.FlagsOf(physical >> GuestMemory.PageShift) & FrameFlags.ReadOnly) == 0))
        {
            return true;
        }

        PageWalker.Context context = new(kernel ? vcpu.KernelRoot : vcpu.UserRoot, User: true, WriteProtect: true, NoExecute: true);
        PageFaultErrors errors = access | PageFaultErrors.User;
        if (IsCanonical(address) && PageWalker.TryTranslate(memory, in context, address, access, out PageWalker.Translation translation, out errors))
        {
            physical = translation.Physical;
            return true;
        }

        FaultAddress = address;
        FaultErrors = errors;
        physical = 0;
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;

    private static int Chunk(ulong address, int wanted) =>
        Math.Min(wanted, GuestMemory.PageSize - (int)(address & (GuestMemory.PageSize - 1)));
}
