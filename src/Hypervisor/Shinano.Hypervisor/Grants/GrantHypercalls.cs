using System.Runtime.InteropServices;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// grant_table_op: the guest's structures to <see cref="GrantTable"/> and <see cref="GrantMappings"/>, and back. Source: public/grant_table.h.
/// </summary>
public sealed class GrantHypercalls
{
    /// <summary>Operations of a list served before the call is restarted with the rest.</summary>
    private const uint Batch = 64;

    // public/grant_table.h: GNTCOPY_source_gref, GNTCOPY_dest_gref; GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_INVAL.
    private const ushort SourceIsReference = 1;
    private const ushort TargetIsReference = 2;
    private const uint CacheOperations = 3;

    private readonly Domain _domain;
    private readonly GrantTable _table;
    private readonly GrantMappings _mappings;
    private readonly IGuestFrames _frames;

    public GrantHypercalls(Domain domain, GrantTable table, IGuestFrames frames)
    {
        _domain = domain;
        _table = table;
        _mappings = new GrantMappings(domain, table, frames);
        _frames = frames;
        domain.Hypercalls.Add(HypercallNumber.GrantTableOp, Execute);
    }

    private delegate long ListOperation(PvVcpu vcpu, ulong address);

    private long Execute(PvVcpu vcpu, in HypercallArguments a)
    {
        uint count = (uint)a.A3;
        if ((int)count < 0)
        {
            return -Errno.Invalid;
        }

        ulong address = a.A2;
        switch ((GrantTableOp)(uint)a.A1)
        {
            case GrantTableOp.MapGrantRef:
                return ForEach(vcpu, address, count, Marshal.SizeOf<MapRequest>(), Map);
            case GrantTableOp.UnmapGrantRef:
                return ForEach(vcpu, address, count, Marshal.SizeOf<UnmapRequest>(), Unmap);
            case GrantTableOp.UnmapAndReplace:
                return ForEach(vcpu, address, count, Marshal.SizeOf<UnmapRequest>(), UnmapAndReplace);
            case GrantTableOp.Copy:
                return ForEach(vcpu, address, count, Marshal.SizeOf<CopyRequest>(), Copy);
            case GrantTableOp.SwapGrantRef:
                return ForEach(vcpu, address, count, Marshal.SizeOf<SwapRequest>(), Swap);
            case GrantTableOp.CacheFlush:
                return ForEach(vcpu, address, count, Marshal.SizeOf<FlushRequest>(), FlushCache);
            case GrantTableOp.Transfer:
                return ForEach(vcpu, address, count, Marshal.SizeOf<TransferRequest>(), Transfer);
            case GrantTableOp.SetupTable:
                return count == 1 ? SetUp(vcpu, address) : -Errno.Invalid;
            case GrantTableOp.QuerySize:
                return count == 1 ? QuerySize(vcpu, address) : -Errno.Invalid;
            case GrantTableOp.GetStatusFrames:
                return count == 1 ? GetStatusFrames(vcpu, address) : -Errno.Invalid;
            case GrantTableOp.SetVersion:
                return SetVersion(vcpu, address);
            case GrantTableOp.GetVersion:
                return GetVersion(vcpu, address);
            default:
                return -Errno.NoSystemCall;
        }
    }

    /// <summary>Serves a list a part at a time: a restarted call has the rest in its registers.</summary>
    private static long ForEach(PvVcpu vcpu, ulong address, uint count, int size, ListOperation operation)
    {
        for (uint done = 0; done < count; done++)
        {
            if (done == Batch)
            {
                vcpu.SetArgument(1, address);
                vcpu.SetArgument(2, count - done);
                return HypercallTable.Restart;
            }

            long error = operation(vcpu, address);
            if (error != 0)
            {
                return error;
            }

            address += (ulong)size;
        }

        return 0;
    }

    private GrantStatus CheckOwn(ushort domain) =>
        domain == DomainId.Self.Value || domain == _domain.Id.Value ? GrantStatus.Okay
            : domain == DomainId.Zero.Value ? GrantStatus.PermissionDenied : GrantStatus.BadDomain;

    private long Map(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out MapRequest request))
        {
            return -Errno.Fault;
        }

        request.Status = (short)_mappings.Map(
            vcpu, new DomainId(request.Domain), request.Reference, (GrantMapFlags)request.Flags, request.HostAddress,
            out uint handle, out ulong deviceAddress);
        if (request.Status == 0)
        {
            request.Handle = handle;
            request.DeviceAddress = deviceAddress;
        }

        return vcpu.Guest.TryWrite(address, request) ? 0 : -Errno.Fault;
    }

    private long Unmap(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out UnmapRequest request))
        {
            return -Errno.Fault;
        }

        GrantStatus status = _mappings.Unmap(vcpu, request.Handle, request.HostAddress, request.Second, 0);
        return vcpu.Guest.TryWrite(address + UnmapRequest.StatusOffset, (short)status) ? 0 : -Errno.Fault;
    }

    private long UnmapAndReplace(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out UnmapRequest request))
        {
            return -Errno.Fault;
        }

        GrantStatus status = _mappings.Unmap(vcpu, request.Handle, request.HostAddress, 0, request.Second);
        return vcpu.Guest.TryWrite(address + UnmapRequest.StatusOffset, (short)status) ? 0 : -Errno.Fault;
    }

    private long Copy(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out CopyRequest request))
        {
            return -Errno.Fault;
        }

        GrantMappings.CopyEnd source = new(
            request.Source, new DomainId(request.SourceDomain), request.SourceOffset, (request.Flags & SourceIsReference) != 0);
        GrantMappings.CopyEnd target = new(
            request.Target, new DomainId(request.TargetDomain), request.TargetOffset, (request.Flags & TargetIsReference) != 0);
        GrantStatus status = _mappings.Copy(in source, in target, request.Length);
        return vcpu.Guest.TryWrite(address + CopyRequest.StatusOffset, (short)status) ? 0 : -Errno.Fault;
    }

    private long Swap(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out SwapRequest request))
        {
            return -Errno.Fault;
        }

        request.Status = (short)_table.Swap(request.First, request.Second);
        return vcpu.Guest.TryWrite(address, request) ? 0 : -Errno.Fault;
    }

    /// <summary>Nothing to flush: no device of the host's sees guest memory past its caches. The checks are Xen's.</summary>
    private long FlushCache(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out FlushRequest request))
        {
            return -Errno.Fault;
        }

        if (request.Offset >= GuestMemory.PageSize || request.Offset + request.Length > GuestMemory.PageSize || (request.Operation & ~CacheOperations) != 0)
        {
            return -Errno.Invalid;
        }

        if (request.Length == 0 || request.Operation == 0)
        {
            return 0;
        }

        ulong frame = request.Address >> GuestMemory.PageShift;
        if (!_frames.TryHoldRead(frame))
        {
            return -Errno.Invalid;
        }

        _frames.ReleaseRead(frame);
        return 0;
    }

    /// <summary>There is no other domain to transfer to: the page stays.</summary>
    private static long Transfer(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out TransferRequest request))
        {
            return -Errno.Fault;
        }

        request.Status = (short)GrantStatus.BadDomain;
        return vcpu.Guest.TryWrite(address, request) ? 0 : -Errno.Fault;
    }

    private long SetUp(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out SetupRequest request))
        {
            return -Errno.Fault;
        }

        GrantStatus status = CheckOwn(request.Domain);
        if (status == GrantStatus.Okay && (request.Frames > (uint)_table.MaximumFrames || !_table.TryGrow((int)request.Frames)))
        {
            status = GrantStatus.GeneralError;
        }

        if (status == GrantStatus.Okay && !TryWriteFrames(vcpu, request.List, _table.Frames, request.Frames))
        {
            status = GrantStatus.BadVirtualAddress;
        }

        return vcpu.Guest.TryWrite(address + SetupRequest.StatusOffset, (short)status) ? 0 : -Errno.Fault;
    }

    private long GetStatusFrames(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out StatusRequest request))
        {
            return -Errno.Fault;
        }

        IReadOnlyList<Mfn> frames = _table.StatusFrames;
        GrantStatus status = CheckOwn(request.Domain);
        if (status == GrantStatus.Okay && request.Frames > (uint)frames.Count)
        {
            status = GrantStatus.GeneralError;
        }

        if (status == GrantStatus.Okay && !TryWriteFrames(vcpu, request.List, frames, request.Frames))
        {
            status = GrantStatus.BadVirtualAddress;
        }

        return vcpu.Guest.TryWrite(address + StatusRequest.StatusOffset, (short)status) ? 0 : -Errno.Fault;
    }

    private static bool TryWriteFrames(PvVcpu vcpu, ulong list, IReadOnlyList<Mfn> frames, uint count)
    {
        ulong[] numbers = [.. frames.Take((int)count).Select(f => f.Value)];
        return vcpu.Guest.TryWrite(list, MemoryMarshal.AsBytes(numbers.AsSpan()));
    }

    private long QuerySize(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out QueryRequest request))
        {
            return -Errno.Fault;
        }

        GrantStatus status = CheckOwn(request.Domain);
        request.Status = (short)status;
        if (status == GrantStatus.Okay)
        {
            request.Frames = (uint)_table.Frames.Count;
            request.MaximumFrames = (uint)_table.MaximumFrames;
        }

        return vcpu.Guest.TryWrite(address, request) ? 0 : -Errno.Fault;
    }

    private long SetVersion(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out uint version))
        {
            return -Errno.Fault;
        }

        long error = _table.ChangeVersion(version);
        return vcpu.Guest.TryWrite(address, (uint)_table.Version) ? error : -Errno.Fault;
    }

    private long GetVersion(PvVcpu vcpu, ulong address)
    {
        if (!vcpu.Guest.TryRead(address, out ushort domain))
        {
            return -Errno.Fault;
        }

        return CheckOwn(domain) switch
        {
            GrantStatus.Okay => vcpu.Guest.TryWrite(address + 4, (uint)_table.Version) ? 0 : -Errno.Fault,
            GrantStatus.PermissionDenied => -Errno.Perm,
            _ => -Errno.NoSuchProcess,
        };
    }

    /// <summary>struct gnttab_map_grant_ref.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MapRequest
    {
        public ulong HostAddress;
        public uint Flags;
        public uint Reference;
        public ushort Domain;
        public short Status;
        public uint Handle;
        public ulong DeviceAddress;
    }

    /// <summary>struct gnttab_unmap_grant_ref and struct gnttab_unmap_and_replace.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct UnmapRequest
    {
        public const int StatusOffset = 20;
        public readonly ulong HostAddress;
        public readonly ulong Second;
        public readonly uint Handle;
        private readonly short _status;
    }

    /// <summary>struct gnttab_copy.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct CopyRequest
    {
        public const int StatusOffset = 36;
        public readonly ulong Source;
        public readonly ushort SourceDomain;
        public readonly ushort SourceOffset;
        public readonly ulong Target;
        public readonly ushort TargetDomain;
        public readonly ushort TargetOffset;
        private readonly uint _padding;
        public readonly ushort Length;
        public readonly ushort Flags;
        private readonly short _status;
    }

    /// <summary>struct gnttab_swap_grant_ref.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SwapRequest
    {
        public uint First;
        public uint Second;
        public short Status;
    }

    /// <summary>struct gnttab_cache_flush.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct FlushRequest
    {
        public readonly ulong Address;
        public readonly ushort Offset;
        public readonly ushort Length;
        public readonly uint Operation;
    }

    /// <summary>struct gnttab_transfer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TransferRequest
    {
        public ulong Frame;
        public ushort Domain;
        public uint Reference;
        public short Status;
    }

    /// <summary>struct gnttab_setup_table.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct SetupRequest
    {
        public const int StatusOffset = 8;
        public readonly ushort Domain;
        public readonly uint Frames;
        private readonly short _status;
        public readonly ulong List;
    }

    /// <summary>struct gnttab_query_size.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct QueryRequest
    {
        public ushort Domain;
        public uint Frames;
        public uint MaximumFrames;
        public short Status;
    }

    /// <summary>struct gnttab_get_status_frames.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct StatusRequest
    {
        public const int StatusOffset = 6;
        public readonly uint Frames;
        public readonly ushort Domain;
        private readonly short _status;
        public readonly ulong List;
    }
}
