using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// What a domain does with grants itself: mapping, unmapping and copying. It reaches its own grants only (those it made out to itself): other domains'
/// memory is in other processes. Thread-safe. Source: public/grant_table.h.
/// </summary>
internal sealed class GrantMappings(Domain domain, GrantTable table, IGuestFrames frames)
{
    /// <summary>Mappings at a time (Xen's max_maptrack_frames, in handles).</summary>
    private const int MostHandles = 65536;

    /// <summary>Bits 9 to 11 of an entry, the guest's own; given in flags from bit 16.</summary>
    private const int AvailableShift = 9;
    private const int GuestAvailableShift = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<uint, GrantMapping> _mappings = [];
    private uint _nextHandle;

    /// <summary>GNTTABOP_map_grant_ref.</summary>
    public GrantStatus Map(PvVcpu vcpu, DomainId granter, uint reference, GrantMapFlags flags, ulong place, out uint handle, out ulong address)
    {
        handle = 0;
        address = 0;
        if ((flags & (GrantMapFlags.Host | GrantMapFlags.Device)) == 0)
        {
            return GrantStatus.BadReference;
        }

        if (granter != domain.Id)
        {
            // Domain 0 grants nothing to its guests.
            return granter == DomainId.Zero ? GrantStatus.BadReference : GrantStatus.BadDomain;
        }

        bool write = (flags & GrantMapFlags.ReadOnly) == 0;
        int uses = UsesOf(flags);
        GrantStatus status = GrantStatus.Okay;
        ActiveGrant? grant = null;
        int taken = 0;
        while (taken < uses && status == GrantStatus.Okay)
        {
            status = table.Acquire(reference, domain.Id, write, forMapping: true, out grant);
            taken += status == GrantStatus.Okay ? 1 : 0;
        }

        if (status == GrantStatus.Okay && (flags & GrantMapFlags.Host) != 0)
        {
            status = WriteEntry(vcpu, place, flags, EntryFor(grant!.Frame, flags), null);
        }

        if (status == GrantStatus.Okay && !TryAdd(new GrantMapping(reference, grant!.Frame, flags), out handle))
        {
            if ((flags & GrantMapFlags.Host) != 0)
            {
                _ = WriteEntry(vcpu, place, flags, 0, grant.Frame);
            }

            status = GrantStatus.NoSpace;
        }

        if (status != GrantStatus.Okay)
        {
            for (; taken > 0; taken--)
            {
                table.Release(reference, write);
            }

            return status;
        }

        address = grant!.Frame << GuestMemory.PageShift;
        return GrantStatus.Okay;
    }

    /// <summary>GNTTABOP_unmap_grant_ref, and GNTTABOP_unmap_and_replace when there is a new address.</summary>
    public GrantStatus Unmap(PvVcpu vcpu, uint handle, ulong place, ulong deviceAddress, ulong newPlace)
    {
        GrantMapping? mapping;
        GrantMapFlags undone = GrantMapFlags.None;
        lock (_lock)
        {
            if (!_mappings.TryGetValue(handle, out mapping))
            {
                return GrantStatus.BadHandle;
            }

            if (deviceAddress != 0 && (mapping.Flags & GrantMapFlags.Device) != 0)
            {
                if (deviceAddress != mapping.Frame << GuestMemory.PageShift)
                {
                    return GrantStatus.BadDeviceAddress;
                }

                undone |= GrantMapFlags.Device;
            }

            undone |= place != 0 ? mapping.Flags & GrantMapFlags.Host : 0;
            mapping.Flags &= ~undone;
        }

        GrantStatus status = GrantStatus.Okay;
        if ((undone & GrantMapFlags.Host) != 0)
        {
            status = newPlace == 0
                ? WriteEntry(vcpu, place, mapping.Flags, 0, mapping.Frame)
                : Replace(vcpu, place, newPlace, mapping);
        }

        lock (_lock)
        {
            if (status != GrantStatus.Okay)
            {
                mapping.Flags |= undone;
                return status;
            }

            if ((mapping.Flags & (GrantMapFlags.Host | GrantMapFlags.Device)) == 0)
            {
                _mappings.Remove(handle);
            }
        }

        for (int uses = UsesOf(undone); uses > 0; uses--)
        {
            table.Release(mapping.Reference, !mapping.IsReadOnly);
        }

        return GrantStatus.Okay;
    }

    /// <summary>GNTTABOP_copy: bytes of one page to another, each named by its frame or by a grant.</summary>
    public GrantStatus Copy(in CopyEnd source, in CopyEnd target, int length)
    {
        if (source.Offset + length > GuestMemory.PageSize || target.Offset + length > GuestMemory.PageSize)
        {
            return GrantStatus.BadCopyArgument;
        }

        GrantStatus status = Claim(in source, write: false, out ulong from, out int fromStart, out int fromLength);
        if (status != GrantStatus.Okay)
        {
            return status;
        }

        status = Claim(in target, write: true, out ulong to, out int toStart, out int toLength);
        if (status == GrantStatus.Okay)
        {
            if (source.Offset < fromStart || source.Offset + length > fromStart + fromLength
                || target.Offset < toStart || target.Offset + length > toStart + toLength)
            {
                status = GrantStatus.GeneralError;
            }
            else
            {
                Span<byte> bytes = stackalloc byte[length];
                bool copied = domain.Memory.TryRead((from << GuestMemory.PageShift) + (ulong)source.Offset, bytes)
                    && domain.Memory.TryWrite((to << GuestMemory.PageShift) + (ulong)target.Offset, bytes);
                status = copied ? GrantStatus.Okay : GrantStatus.BadPage;
            }

            Unclaim(in target, to, write: true);
        }

        Unclaim(in source, from, write: false);
        return status;
    }

    private static int UsesOf(GrantMapFlags flags) => ((flags & GrantMapFlags.Host) != 0 ? 1 : 0) + ((flags & GrantMapFlags.Device) != 0 ? 1 : 0);

    private static ulong EntryFor(ulong frame, GrantMapFlags flags)
    {
        ulong entry = (frame << GuestMemory.PageShift) | PageTableEntry.Present | PageTableEntry.Accessed | PageTableEntry.Dirty | PageTableEntry.NoExecute;
        entry |= (flags & GrantMapFlags.Application) != 0 ? PageTableEntry.User : 0;
        entry |= (flags & GrantMapFlags.ReadOnly) == 0 ? PageTableEntry.Writable : 0;
        return entry | ((((ulong)flags >> GuestAvailableShift) & 7) << AvailableShift);
    }

    private bool TryAdd(GrantMapping mapping, out uint handle)
    {
        lock (_lock)
        {
            handle = 0;
            if (_mappings.Count == MostHandles)
            {
                return false;
            }

            while (!_mappings.TryAdd(_nextHandle % MostHandles, mapping))
            {
                _nextHandle++;
            }

            handle = _nextHandle++ % MostHandles;
            return true;
        }
    }

    private GrantStatus WriteEntry(PvVcpu vcpu, ulong place, GrantMapFlags flags, ulong value, ulong? expectedFrame)
    {
        ulong entry = place;
        if ((flags & GrantMapFlags.ContainsPte) != 0)
        {
            if ((place & 7) != 0)
            {
                return GrantStatus.GeneralError;
            }
        }
        else if (!frames.TryFindEntry(vcpu, place, out entry))
        {
            return GrantStatus.GeneralError;
        }

        return frames.ReplaceEntry(vcpu, entry, value, expectedFrame) == 0 ? GrantStatus.Okay : GrantStatus.GeneralError;
    }

    /// <summary>Moves what is mapped at another address to where the grant is mapped.</summary>
    private GrantStatus Replace(PvVcpu vcpu, ulong place, ulong newPlace, GrantMapping mapping)
    {
        if ((mapping.Flags & GrantMapFlags.ContainsPte) != 0
            || !frames.TryFindEntry(vcpu, place, out ulong entry)
            || !frames.TryFindEntry(vcpu, newPlace, out ulong newEntry)
            || !domain.Memory.TryReadUInt64(newEntry, out ulong moved)
            || frames.ReplaceEntry(vcpu, entry, moved, mapping.Frame) != 0)
        {
            return GrantStatus.GeneralError;
        }

        // The new entry took its own references; the old one gives its back. It maps the same frame still, or the guest lost a race with itself.
        _ = frames.ReplaceEntry(vcpu, newEntry, 0, (moved & PageTableEntry.Present) != 0 ? PageTableEntry.Frame(moved) : null);
        return GrantStatus.Okay;
    }

    private GrantStatus Claim(in CopyEnd end, bool write, out ulong frame, out int start, out int length)
    {
        frame = 0;
        start = 0;
        length = GuestMemory.PageSize;
        if (end.IsReference)
        {
            if (end.Domain != DomainId.Self && end.Domain != domain.Id)
            {
                return end.Domain == DomainId.Zero ? GrantStatus.BadReference : GrantStatus.BadDomain;
            }

            GrantStatus status = table.Acquire((uint)end.FrameOrReference, domain.Id, write, forMapping: false, out ActiveGrant? grant);
            if (status == GrantStatus.Okay)
            {
                (frame, start, length) = (grant!.Frame, grant.Start, grant.Length);
            }

            return status;
        }

        if (end.Domain != DomainId.Self)
        {
            return GrantStatus.PermissionDenied;
        }

        frame = end.FrameOrReference;
        if (!frames.TryHoldRead(frame))
        {
            return GrantStatus.BadPage;
        }

        if (write && !frames.TryHold(frame))
        {
            frames.ReleaseRead(frame);
            return GrantStatus.GeneralError;
        }

        return GrantStatus.Okay;
    }

    private void Unclaim(in CopyEnd end, ulong frame, bool write)
    {
        if (end.IsReference)
        {
            table.Release((uint)end.FrameOrReference, write);
            return;
        }

        if (write)
        {
            frames.Release(frame);
        }

        frames.ReleaseRead(frame);
    }

    /// <summary>One side of a copy. Source: public/grant_table.h: struct gnttab_copy_ptr.</summary>
    public readonly record struct CopyEnd(ulong FrameOrReference, DomainId Domain, int Offset, bool IsReference);
}
