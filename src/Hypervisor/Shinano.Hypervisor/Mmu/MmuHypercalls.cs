using System.Runtime.InteropServices;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// A domain's PV MMU: its machine space, the types of its frames, the roots and descriptor tables of its vCPUs, and the hypercalls that change them.
/// </summary>
public sealed class MmuHypercalls
{
    private const int KernelContext = 0;
    private const int UserContext = 1;

    private readonly DescriptorTables _descriptors;

    public MmuHypercalls(Domain domain, MachineSpace space)
    {
        Domain = domain;
        Space = space;
        Flushes = new TranslationFlushes(domain, MmuLock);
        Types = new PageTypes(space, Flushes);
        _descriptors = new DescriptorTables(this);
        _ = new PageTableUpdates(this);
        _ = new ExtendedOperations(this);
        domain.Hypercalls.Add(HypercallNumber.SetGdt, _descriptors.SetGdt);
        domain.Hypercalls.Add(HypercallNumber.UpdateDescriptor, _descriptors.Update);
    }

    public MachineSpace Space { get; }

    public PageTypes Types { get; }

    public TranslationFlushes Flushes { get; }

    /// <summary>Serialises all changes of types and page tables of the domain.</summary>
    public Lock MmuLock { get; } = new();

    internal Domain Domain { get; }

    internal DescriptorTables Descriptors => _descriptors;

    /// <summary>Writes a page-table word on the guest's behalf after the checks of its type. Under the lock.</summary>
    /// <returns>0, a negated <see cref="Errno"/>, or <see cref="PageTypes.Preempted"/>.</returns>
    public int WriteEntry(ulong address, ulong value, bool keepAccessedDirty)
    {
        ulong frame = address >> GuestMemory.PageShift;
        if (!Space.IsGuests(frame) || !Space.TryGet(frame, out int index) || (address & 7) != 0)
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref Space[index];
        if (info.TypeCount > 0 && info.Type is >= FrameType.L1 and <= FrameType.L4)
        {
            return Types.Update(address, (int)info.Type, value, keepAccessedDirty);
        }

        int error = Types.Acquire(frame, FrameType.Writable);
        if (error == 0)
        {
            Space.Memory.TryWriteUInt64(address, value);
            Types.Release(frame);
        }

        return error;
    }

    /// <summary>Sets a vCPU's GDT frames (set_gdt; VCPUOP_initialise).</summary>
    /// <returns>0 or -EINVAL with nothing changed.</returns>
    public int LoadGdt(PvVcpu vcpu, ReadOnlySpan<ulong> frames) => _descriptors.LoadGdt(vcpu, frames);

    /// <summary>Loads a top-level table (MMUEXT_NEW_BASEPTR, NEW_USER_BASEPTR, VCPUOP_initialise); frame 0 is no user root.</summary>
    /// <returns>0, or a negated <see cref="Errno"/> with the old one in use.</returns>
    public int LoadRoot(PvVcpu vcpu, ulong frame, bool user)
    {
        while (true)
        {
            lock (MmuLock)
            {
                Types.BeginWork();
                int error = Types.Settle() ? TryLoadRoot(vcpu, frame, user) : PageTypes.Preempted;
                if (error != PageTypes.Preempted && Types.Finish())
                {
                    return error;
                }
            }
        }
    }

    /// <summary>As <see cref="LoadRoot"/>, under the lock and once.</summary>
    internal int TryLoadRoot(PvVcpu vcpu, ulong frame, bool user)
    {
        ulong old = (user ? vcpu.UserRoot : vcpu.KernelRoot) >> GuestMemory.PageShift;
        if (old == frame)
        {
            if (!user)
            {
                Flushes.RootLoaded(vcpu, KernelContext, keepsUpperHalf: true);
            }

            return 0;
        }

        if (frame != 0)
        {
            int error = Types.Acquire(frame, FrameType.L4);
            if (error != 0)
            {
                return error;
            }

            Space.PrepareRoot(frame, user);
        }
        else if (!user)
        {
            return -Errno.Invalid;
        }

        if (user)
        {
            vcpu.SetUserRoot(frame << GuestMemory.PageShift);
            Flushes.RootLoaded(vcpu, UserContext, keepsUpperHalf: false);
        }
        else
        {
            ulong root = frame << GuestMemory.PageShift;
            bool keepsUpperHalf = vcpu.KernelRoot != 0 && HasSameUpperHalf(vcpu.KernelRoot, root);
            vcpu.SetKernelRoot(root);
            Flushes.RootLoaded(vcpu, KernelContext, keepsUpperHalf);
            _descriptors.ReloadLdt(vcpu);
        }

        if (old != 0)
        {
            Types.Release(old);
        }

        return 0;
    }

    /// <summary>Whether two roots have the same tables for addresses with bit 63 set.</summary>
    private bool HasSameUpperHalf(ulong first, ulong second)
    {
        ReadOnlySpan<ulong> ours = UpperHalf(first);
        ReadOnlySpan<ulong> others = UpperHalf(second);
        ulong different = 0;
        for (int i = 0; i < ours.Length; i++)
        {
            different |= ours[i] ^ others[i];
        }

        return (different & ~(PageTableEntry.Accessed | PageTableEntry.Dirty)) == 0;
    }

    private Span<ulong> UpperHalf(ulong root) =>
        MemoryMarshal.Cast<byte, ulong>(Space.Memory.FrameSpan(root >> GuestMemory.PageShift))[(PageTableEntry.Count / 2)..];

    /// <summary>Whether a domain number of a hypercall means the caller.</summary>
    internal bool IsOwn(ulong domain) => domain == DomainId.Self.Value || domain == Domain.Id.Value;

    /// <summary>Machine address of the L1 entry that translates an address.</summary>
    internal bool TryFindEntry(ulong root, ulong address, out ulong entry)
    {
        entry = 0;
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            if (!Space.Memory.TryReadUInt64(table + ((ulong)PageTableEntry.Index(address, level) * sizeof(ulong)), out ulong value)
                || (value & PageTableEntry.Present) == 0)
            {
                return false;
            }

            table = value & PageTableEntry.AddressMask;
        }

        entry = table + ((ulong)PageTableEntry.Index(address, 1) * sizeof(ulong));
        return true;
    }
}
