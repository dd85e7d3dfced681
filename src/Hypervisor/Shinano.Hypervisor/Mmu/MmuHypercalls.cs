using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>mmu_update, mmuext_op, update_va_mapping, set_gdt and update_descriptor. Source: public/xen.h.</summary>
public sealed class MmuHypercalls
{
    private const ulong UpdateNormal = 0;
    private const ulong UpdateMachineToPhysical = 1;
    private const ulong UpdatePreserve = 2;
    private const ulong UpdateNoTranslate = 3;
    private const ulong FlushTlb = 1;
    private const ulong FlushInvlpg = 2;
    private const ulong FlushAll = 4;
    private const ulong FlushTypeMask = 3;

    /// <summary>Requests served before a vCPU looks at what else it has to do: a hypercall's worth of bounded work.</summary>
    private const ulong Batch = 4096;

    /// <summary>MMU_UPDATE_PREEMPTED: marks a continuation in the count.</summary>
    private const ulong Preempted = 0x8000_0000;

    private readonly Domain _domain;
    private readonly GuestMemory _memory;

    public MmuHypercalls(Domain domain, MachineSpace space)
    {
        _domain = domain;
        _memory = space.Memory;
        Space = space;
        Types = new PageTypes(space, FlushEverywhere);
        HypercallTable calls = domain.Hypercalls;
        calls.Add(HypercallNumber.MmuUpdate, MmuUpdate);
        calls.Add(HypercallNumber.MmuExtOp, MmuExtOp);
        calls.Add(HypercallNumber.UpdateVaMapping, UpdateVaMapping);
        calls.Add(HypercallNumber.UpdateVaMappingOtherDomain, (vcpu, in a) =>
            IsOwn(a.A4) ? UpdateVaMapping(vcpu, in a) : -Errno.Perm);
        calls.Add(HypercallNumber.SetGdt, SetGdt);
        calls.Add(HypercallNumber.UpdateDescriptor, UpdateDescriptor);
    }

    public MachineSpace Space { get; }

    public PageTypes Types { get; }

    /// <summary>Serialises all changes of types and page tables of the domain.</summary>
    public Lock MmuLock { get; } = new();

    /// <summary>Writes a page-table word on the guest's behalf after the checks of its type.</summary>
    /// <returns>0, or a negated <see cref="Errno"/>.</returns>
    public int WriteEntry(ulong address, ulong value, bool keepAccessedDirty)
    {
        if (!Space.TryGet(address >> 12, out int index) || !Space.IsGuests(address >> 12) || (address & 7) != 0)
        {
            return -Errno.Invalid;
        }

        ref FrameInfo info = ref Space[index];
        if (info.TypeCount > 0 && info.Type is >= FrameType.L1 and <= FrameType.L4)
        {
            return Types.Update(address, (int)info.Type, value, keepAccessedDirty);
        }

        int error = Types.Acquire(address >> 12, FrameType.Writable);
        if (error != 0)
        {
            return error;
        }

        _memory.TryWriteUInt64(address, value);
        Types.Release(address >> 12);
        return 0;
    }

    /// <summary>Sets a vCPU's GDT frames (set_gdt; VCPUOP_initialise).</summary>
    public int LoadGdt(PvVcpu vcpu, ReadOnlySpan<ulong> frames)
    {
        lock (MmuLock)
        {
            for (int i = 0; i < frames.Length; i++)
            {
                int error = Types.Acquire(frames[i], FrameType.Descriptors);
                if (error != 0)
                {
                    while (--i >= 0)
                    {
                        Types.Release(frames[i]);
                    }

                    return -Errno.Invalid;
                }
            }

            foreach (ulong old in vcpu.GdtFrames)
            {
                Types.Release(old);
            }

            vcpu.GdtFrames = frames.ToArray();
            for (int i = 0; i < AddressSpaceLayout.GuestGdtFrames; i++)
            {
                Space.MapDescriptors(vcpu.Id, i, i < frames.Length ? frames[i] : 0);
            }
        }

        vcpu.Cpu.RequestFlush();
        vcpu.ShowDescriptorTables();
        return 0;
    }

    /// <summary>Loads a top-level table (MMUEXT_NEW_BASEPTR, NEW_USER_BASEPTR, VCPUOP_initialise).</summary>
    public int LoadRoot(PvVcpu vcpu, ulong frame, bool user)
    {
        lock (MmuLock)
        {
            ulong old = (user ? vcpu.UserRoot : vcpu.KernelRoot) >> 12;
            if (frame != 0)
            {
                int error = Types.Acquire(frame, FrameType.L4);
                if (error != 0)
                {
                    return error;
                }
            }
            else if (!user)
            {
                return -Errno.Invalid;
            }

            if (user)
            {
                vcpu.LoadUserRoot(frame << 12);
            }
            else
            {
                vcpu.LoadKernelRoot(frame << 12);
            }

            if (old != 0)
            {
                Types.Release(old);
            }

            return 0;
        }
    }

    private bool IsOwn(ulong domain) => domain == DomainId.Self.Value || domain == _domain.Id.Value;

    private long MmuUpdate(PvVcpu vcpu, in HypercallArguments a)
    {
        if (!IsOwn(a.A4 & 0xFFFF) || a.A4 >> 16 != 0)
        {
            return -Errno.Perm;
        }

        ulong count = a.A2 & ~Preempted;
        if (count > Batch)
        {
            return -Errno.Invalid;
        }

        uint done = 0;
        long result = 0;
        Span<ulong> request = stackalloc ulong[2];
        lock (MmuLock)
        {
            for (; done < count; done++)
            {
                if (!vcpu.Guest.TryRead(a.A1 + ((ulong)done * 16), MemoryMarshal.AsBytes(request)))
                {
                    result = -Errno.Fault;
                    break;
                }

                ulong pointer = request[0] & ~3UL;
                result = (request[0] & 3) switch
                {
                    UpdateNormal or UpdateNoTranslate => WriteEntry(pointer, request[1], false),
                    UpdatePreserve => WriteEntry(pointer, request[1], true),
                    _ => RecordPhysical(pointer >> 12, request[1]),
                };
                if (result != 0)
                {
                    break;
                }
            }
        }

        if (a.A3 != 0 && !vcpu.Guest.TryWrite(a.A3, done))
        {
            return -Errno.Fault;
        }

        return result;
    }

    private int RecordPhysical(ulong frame, ulong pfn)
    {
        if (!Space.IsGuests(frame))
        {
            return -Errno.Invalid;
        }

        Space.SetM2P(frame, pfn);
        return 0;
    }

    private long UpdateVaMapping(PvVcpu vcpu, in HypercallArguments a)
    {
        int error;
        lock (MmuLock)
        {
            error = TryFindEntry(vcpu.CurrentRoot, a.A1, out ulong entry) ? WriteEntry(entry, a.A2, false) : -Errno.Invalid;
        }

        // The flush is done even when the update failed, as on Xen.
        ulong flags = a.A3;
        ulong targets = flags & ~(FlushTypeMask | FlushAll);
        switch (flags & FlushTypeMask)
        {
            case FlushTlb or FlushInvlpg:
                ulong mask = 1UL << vcpu.Id;
                if ((flags & FlushAll) != 0)
                {
                    mask = ulong.MaxValue;
                }
                else if (targets != 0 && !vcpu.Guest.TryRead(targets, out mask))
                {
                    break;
                }

                Flush(vcpu, mask, (flags & FlushTypeMask) == FlushInvlpg ? a.A1 : null);
                break;
        }

        return error;
    }

    private long MmuExtOp(PvVcpu vcpu, in HypercallArguments a)
    {
        if (!IsOwn(a.A4))
        {
            return -Errno.Perm;
        }

        ulong count = a.A2 & ~Preempted;
        if (count > Batch)
        {
            return -Errno.Invalid;
        }

        uint done = 0;
        long result = 0;
        for (; done < count; done++)
        {
            if (!vcpu.Guest.TryRead(a.A1 + ((ulong)done * 24), out MmuExtRequest request))
            {
                result = -Errno.Fault;
                break;
            }

            result = Extended(vcpu, request);
            if (result != 0)
            {
                break;
            }
        }

        if (a.A3 != 0 && !vcpu.Guest.TryWrite(a.A3, done))
        {
            return -Errno.Fault;
        }

        return result;
    }

    private long Extended(PvVcpu vcpu, in MmuExtRequest request)
    {
        switch (request.Command)
        {
            case 0 or 1 or 2 or 3: // MMUEXT_PIN_L1_TABLE to L4
                return Pin(request.Argument1, (FrameType)(request.Command + 1));
            case 4: // MMUEXT_UNPIN_TABLE
                return Unpin(request.Argument1);
            case 5: // MMUEXT_NEW_BASEPTR
                return LoadRoot(vcpu, request.Argument1, user: false);
            case 15: // MMUEXT_NEW_USER_BASEPTR
                return LoadRoot(vcpu, request.Argument1, user: true);
            case 6: // MMUEXT_TLB_FLUSH_LOCAL
                Flush(vcpu, 1UL << vcpu.Id, null);
                return 0;
            case 7: // MMUEXT_INVLPG_LOCAL
                Flush(vcpu, 1UL << vcpu.Id, request.Argument1);
                return 0;
            case 8 or 9: // MMUEXT_TLB_FLUSH_MULTI, MMUEXT_INVLPG_MULTI
                if (!vcpu.Guest.TryRead(request.Argument2, out ulong mask))
                {
                    return -Errno.Invalid;
                }

                Flush(vcpu, mask, request.Command == 9 ? request.Argument1 : null);
                return 0;
            case 10 or 11: // MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL
                Flush(vcpu, ulong.MaxValue, request.Command == 11 ? request.Argument1 : null);
                return 0;
            case 12: // MMUEXT_FLUSH_CACHE: not for a domain without devices
                return -Errno.Access;
            case 13: // MMUEXT_SET_LDT
                return SetLdt(vcpu, request.Argument1, request.Argument2);
            case 16: // MMUEXT_CLEAR_PAGE
                return WithWritable(request.Argument1, frame => _memory.Clear(frame));
            case 17: // MMUEXT_COPY_PAGE
                ulong source = request.Argument2;
                return Space.IsGuests(source)
                    ? WithWritable(request.Argument1, frame => _memory.TryWrite(frame << 12, _memory.FrameSpan(source)))
                    : -Errno.Invalid;
            case 18: // MMUEXT_FLUSH_CACHE_GLOBAL
                return -Errno.Perm;
            case 19 or 20: // MMUEXT_MARK_SUPER, MMUEXT_UNMARK_SUPER
                return -Errno.NotSupported;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private int Pin(ulong frame, FrameType type)
    {
        lock (MmuLock)
        {
            int error = Types.Acquire(frame, type);
            if (error != 0)
            {
                return -Errno.Invalid;
            }

            Space.TryGet(frame, out int index);
            if (Space[index].Pinned)
            {
                Types.Release(frame);
                return -Errno.Invalid;
            }

            Space[index].Pinned = true;
            return 0;
        }
    }

    private int Unpin(ulong frame)
    {
        lock (MmuLock)
        {
            if (!Space.IsGuests(frame) || !Space.TryGet(frame, out int index) || !Space[index].Pinned)
            {
                return -Errno.Invalid;
            }

            Space[index].Pinned = false;
            Types.Release(frame);
            return 0;
        }
    }

    private int WithWritable(ulong frame, Action<ulong> write)
    {
        lock (MmuLock)
        {
            int error = Types.Acquire(frame, FrameType.Writable);
            if (error == 0)
            {
                write(frame);
                Types.Release(frame);
            }

            return error;
        }
    }

    private long SetLdt(PvVcpu vcpu, ulong address, ulong entries)
    {
        if (entries > 8192 || (address & 0xFFF) != 0)
        {
            return -Errno.Invalid;
        }

        Span<ulong> frames = stackalloc ulong[16];
        int count = (int)((entries + 511) / 512);
        for (int i = 0; i < count; i++)
        {
            if (!vcpu.Guest.TryTranslate(address + ((ulong)i << 12), PageFaultErrors.None, out ulong physical))
            {
                return -Errno.Invalid;
            }

            frames[i] = physical >> 12;
        }

        lock (MmuLock)
        {
            for (int i = 0; i < count; i++)
            {
                int error = Types.Acquire(frames[i], FrameType.Descriptors);
                if (error != 0)
                {
                    while (--i >= 0)
                    {
                        Types.Release(frames[i]);
                    }

                    return error;
                }
            }

            foreach (ulong old in vcpu.LdtFrames)
            {
                Types.Release(old);
            }

            vcpu.LdtFrames = frames[..count].ToArray();
            vcpu.LdtEntries = (int)entries;
            for (int i = 0; i < 16; i++)
            {
                Space.MapDescriptors(vcpu.Id, 16 + i, i < count ? frames[i] : 0);
            }
        }

        vcpu.Cpu.RequestFlush();
        vcpu.ShowDescriptorTables();
        return 0;
    }

    private long SetGdt(PvVcpu vcpu, in HypercallArguments a)
    {
        ulong entries = a.A2;
        if (entries > (ulong)AddressSpaceLayout.GuestGdtFrames * 512)
        {
            return -Errno.Invalid;
        }

        Span<ulong> frames = stackalloc ulong[AddressSpaceLayout.GuestGdtFrames];
        frames = frames[..(int)((entries + 511) / 512)];
        return vcpu.Guest.TryRead(a.A1, MemoryMarshal.AsBytes(frames)) ? LoadGdt(vcpu, frames) : -Errno.Fault;
    }

    private long UpdateDescriptor(PvVcpu vcpu, in HypercallArguments a)
    {
        ulong descriptor = a.A2;
        if ((a.A1 & 7) != 0 || !DescriptorRules.TryFix(ref descriptor))
        {
            return -Errno.Invalid;
        }

        lock (MmuLock)
        {
            ulong frame = a.A1 >> 12;
            if (!Space.IsGuests(frame) || !Space.TryGet(frame, out int index))
            {
                return -Errno.Invalid;
            }

            FrameType type = Space[index].TypeCount > 0 && Space[index].Type == FrameType.Descriptors ? FrameType.Descriptors : FrameType.Writable;
            int error = Types.Acquire(frame, type);
            if (error == 0)
            {
                _memory.TryWriteUInt64(a.A1, descriptor);
                Types.Release(frame);
            }

            return error;
        }
    }

    /// <summary>Machine address of the L1 entry that translates an address.</summary>
    internal bool TryFindEntry(ulong root, ulong address, out ulong entry)
    {
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            if (!_memory.TryReadUInt64(table + ((ulong)PageTableEntry.Index(address, level) * 8), out ulong value)
                || (value & PageTableEntry.Present) == 0)
            {
                entry = 0;
                return false;
            }

            table = value & PageTableEntry.AddressMask;
        }

        entry = table + ((ulong)PageTableEntry.Index(address, 1) * 8);
        return true;
    }

    /// <summary>Drops all translations of all vCPUs. From a hypercall or before the domain runs: the caller's own vCPU is not in guest code.</summary>
    private void FlushEverywhere()
    {
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            vcpu.Cpu.RequestFlush();
        }

        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            vcpu.Cpu.WaitUntilFlushed();
        }
    }

    /// <summary>Drops translations of some vCPUs, and returns when none of them uses an old one any more.</summary>
    private void Flush(PvVcpu caller, ulong mask, ulong? page)
    {
        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            if ((mask >> vcpu.Id & 1) == 0)
            {
                continue;
            }

            if (vcpu != caller)
            {
                vcpu.Cpu.RequestFlush();
            }
            else if (page is { } address)
            {
                vcpu.Cpu.FlushPage(address);
            }
            else
            {
                vcpu.Cpu.FlushTranslations();
            }
        }

        foreach (PvVcpu vcpu in _domain.Vcpus)
        {
            if (vcpu != caller && (mask >> vcpu.Id & 1) != 0)
            {
                vcpu.Cpu.WaitUntilFlushed();
            }
        }
    }
}
