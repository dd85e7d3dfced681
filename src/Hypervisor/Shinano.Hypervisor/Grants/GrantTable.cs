using System.Runtime.InteropServices;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// A domain's grant table and grant_table_op, version 1. Source: public/grant_table.h: GNTTABOP_*, GNTST_*. The guest grants; mapping and copying between
/// domains is refused with -ENOSYS.
/// </summary>
public sealed class GrantTable
{
    /// <summary>Bytes of an entry, struct grant_entry_v1: flags (16 bits), domid (16 bits), frame (32 bits).</summary>
    public const int EntrySize = 8;

    private const short Okay = 0;
    private const short GeneralError = -1;
    private const short BadDomain = -2;
    private const short PermissionDenied = -8;
    private const int EntriesPerFrame = 4096 / EntrySize;
    private readonly Domain _domain;
    private readonly AllocateFrame _allocate;
    private readonly List<Mfn> _frames = [];
    private readonly Lock _lock = new();

    /// <summary>Gives a zeroed frame that the guest may map; false when there is none left.</summary>
    public delegate bool AllocateFrame(out Mfn frame);

    /// <param name="domain">Whose table it is.</param>
    /// <param name="allocate">Makes frames of the table.</param>
    /// <param name="maximumFrames">Most frames of the table (xl's max_grant_frames).</param>
    public GrantTable(Domain domain, AllocateFrame allocate, int maximumFrames = 64)
    {
        _domain = domain;
        _allocate = allocate;
        MaximumFrames = maximumFrames;
        domain.Hypercalls.Add(HypercallNumber.GrantTableOp, (vcpu, in a) => Call(vcpu, a.A1, a.A2, (uint)a.A3));
    }

    /// <summary>Most frames of the table.</summary>
    public int MaximumFrames { get; }

    /// <summary>The frames so far; the builder asks for the first.</summary>
    public IReadOnlyList<Mfn> Frames
    {
        get
        {
            lock (_lock)
            {
                return [.. _frames];
            }
        }
    }

    /// <summary>Makes the table at least so many frames long; false when it may not or cannot be.</summary>
    public bool TryGrow(int count)
    {
        lock (_lock)
        {
            if (count > MaximumFrames)
            {
                return false;
            }

            while (_frames.Count < count)
            {
                if (!_allocate(out Mfn frame))
                {
                    return false;
                }

                _frames.Add(frame);
            }

            return true;
        }
    }

    /// <summary>Machine address of an entry; false when the table is shorter. The guest may change the entry at any time.</summary>
    public bool TryGetEntry(GrantRef reference, out ulong address)
    {
        lock (_lock)
        {
            uint frame = reference.Value / EntriesPerFrame;
            bool exists = frame < (uint)_frames.Count;
            address = exists ? _frames[(int)frame].Address + (reference.Value % EntriesPerFrame * EntrySize) : 0;
            return exists;
        }
    }

    /// <summary>Writes an entry on the guest's behalf, as the tool stack does for console and store: full access to a frame for domain 0.</summary>
    public bool TrySeed(GrantRef reference, Mfn frame)
    {
        const ulong PermitAccess = 1;
        return TryGrow((int)(reference.Value / EntriesPerFrame) + 1) && TryGetEntry(reference, out ulong address)
            && frame.Value <= uint.MaxValue && _domain.Memory.TryWriteUInt64(address, PermitAccess | (frame.Value << 32));
    }

    private static bool IsSelf(PvVcpu vcpu, ushort domain) => domain == DomainId.Self.Value || domain == vcpu.Domain.Id.Value;

    private static short Foreign(ushort domain) => domain == 0 ? PermissionDenied : BadDomain;

    private long Call(PvVcpu vcpu, ulong command, ulong address, uint count)
    {
        if ((int)count < 0)
        {
            return -Errno.Invalid;
        }

        switch (command)
        {
            case 2: // GNTTABOP_setup_table
                return count == 1 ? SetUp(vcpu, address) : -Errno.Invalid;
            case 6: // GNTTABOP_query_size
                return count == 1 ? QuerySize(vcpu, address) : -Errno.Invalid;
            case 8: // GNTTABOP_set_version
                return count == 1 ? SetVersion(vcpu, address) : -Errno.Invalid;
            case 9: // GNTTABOP_get_status_frames
                return count == 1 ? GetStatusFrames(vcpu, address) : -Errno.Invalid;
            case 10: // GNTTABOP_get_version
                return count == 1 ? GetVersion(vcpu, address) : -Errno.Invalid;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long SetUp(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out SetupRequest request))
        {
            return -Errno.Fault;
        }

        if (request.Frames > (uint)MaximumFrames)
        {
            return -Errno.Invalid;
        }

        short status = Okay;
        if (!IsSelf(vcpu, request.Domain))
        {
            status = Foreign(request.Domain);
        }
        else if (!TryGrow((int)request.Frames))
        {
            status = GeneralError;
        }
        else
        {
            ulong[] frames = [.. Frames.Take((int)request.Frames).Select(f => f.Value)];
            if (!vcpu.Guest.TryWrite(request.List, MemoryMarshal.AsBytes(frames.AsSpan())))
            {
                return -Errno.Fault;
            }
        }

        return vcpu.Guest.TryWrite(address + 8, status) ? 0 : -Errno.Fault;
    }

    private long QuerySize(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out QueryRequest request))
        {
            return -Errno.Fault;
        }

        request.Status = IsSelf(vcpu, request.Domain) ? Okay : Foreign(request.Domain);
        if (request.Status == Okay)
        {
            request.Frames = (uint)Frames.Count;
            request.MaximumFrames = (uint)MaximumFrames;
        }

        return vcpu.Guest.TryWrite(address, request) ? 0 : -Errno.Fault;
    }

    private static long SetVersion(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out uint version))
        {
            return -Errno.Fault;
        }

        // Version 2 is not there: as with Xen's option gnttab=max-ver:1.
        long result = version switch
        {
            1 => 0,
            2 => -Errno.NoSystemCall,
            _ => -Errno.Invalid,
        };
        return vcpu.Guest.TryWrite(address, 1u) ? result : -Errno.Fault;
    }

    private static long GetVersion(PvVcpu vcpu, ulong address) =>
        !vcpu.Guest.TryRead(address, out ushort domain) ? -Errno.Fault
        : !IsSelf(vcpu, domain) ? (domain == 0 ? -Errno.Perm : -Errno.NoSuchProcess)
        : vcpu.Guest.TryWrite(address + 4, 1u) ? 0
        : -Errno.Fault;

    private static long GetStatusFrames(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out StatusRequest request))
        {
            return -Errno.Fault;
        }

        // Only version 2 has status frames.
        short status = !IsSelf(vcpu, request.Domain) ? Foreign(request.Domain) : request.Frames == 0 ? Okay : GeneralError;
        return vcpu.Guest.TryWrite(address + 6, status) ? 0 : -Errno.Fault;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SetupRequest
    {
        public ushort Domain;
        private readonly ushort _padding;
        public uint Frames;
        private readonly ulong _status;
        public ulong List;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct QueryRequest
    {
        public ushort Domain;
        private readonly ushort _padding;
        public uint Frames;
        public uint MaximumFrames;
        public short Status;
        private readonly ushort _padding2;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct StatusRequest
    {
        public uint Frames;
        public ushort Domain;
        public short Status;
        public ulong List;
    }
}
