using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>mmuext_op. Source: public/xen.h; Xen's do_mmuext_op for errors and their order.</summary>
internal sealed class ExtendedOperations
{
    /// <summary>Requests served before the vCPU looks at what else it has to do.</summary>
    private const uint Batch = 1024;

    private const int RequestSize = 24;

    private readonly MmuHypercalls _mmu;

    public ExtendedOperations(MmuHypercalls mmu)
    {
        _mmu = mmu;
        mmu.Domain.Hypercalls.Add(HypercallNumber.MmuExtOp, Serve);
    }

    private long Serve(PvVcpu vcpu, in HypercallArguments a)
    {
        if (!_mmu.IsOwn((ushort)a.A4))
        {
            return -Errno.NoSuchProcess;
        }

        BatchProgress progress = new(vcpu, in a, RequestSize);
        long result = 0;
        bool goesOn;
        lock (_mmu.MmuLock)
        {
            _mmu.Types.BeginWork();
            goesOn = _mmu.Types.Settle();
        }

        while (goesOn && !progress.IsComplete)
        {
            if (progress.Done == Batch)
            {
                goesOn = false;
                break;
            }

            if (!vcpu.Guest.TryRead(progress.Address, out MmuExtRequest request))
            {
                result = -Errno.Fault;
                break;
            }

            result = Serve(vcpu, in request);
            if (result == PageTypes.Preempted)
            {
                goesOn = false;
                result = 0;
                break;
            }

            lock (_mmu.MmuLock)
            {
                goesOn = _mmu.Types.Finish();
            }

            if (result != 0)
            {
                goesOn = true;
                break;
            }

            progress.Advance();
        }

        return progress.End(result, goesOn);
    }

    private long Serve(PvVcpu vcpu, in MmuExtRequest request)
    {
        ulong own = 1UL << vcpu.Id;
        switch ((MmuExtendedCommand)request.Command)
        {
            case MmuExtendedCommand.PinL1Table or MmuExtendedCommand.PinL2Table or MmuExtendedCommand.PinL3Table or MmuExtendedCommand.PinL4Table:
                return Pin(request.Argument1, (FrameType)(request.Command - (uint)MmuExtendedCommand.PinL1Table + 1));
            case MmuExtendedCommand.UnpinTable:
                return Unpin(request.Argument1);
            case MmuExtendedCommand.NewBasePointer:
                return LoadRoot(vcpu, request.Argument1, user: false);
            case MmuExtendedCommand.NewUserBasePointer:
                return LoadRoot(vcpu, request.Argument1, user: true);
            case MmuExtendedCommand.FlushLocal:
                _mmu.Flushes.FlushChanged(own);
                return 0;
            case MmuExtendedCommand.InvalidatePageLocal:
                _mmu.Flushes.FlushPage(vcpu, own, request.Argument1);
                return 0;
            case MmuExtendedCommand.FlushMulti or MmuExtendedCommand.InvalidatePageMulti:
                if (!vcpu.Guest.TryRead(request.Argument2, out ulong mask))
                {
                    return -Errno.Invalid;
                }

                Flush(vcpu, mask, request, MmuExtendedCommand.InvalidatePageMulti);
                return 0;
            case MmuExtendedCommand.FlushAll or MmuExtendedCommand.InvalidatePageAll:
                Flush(vcpu, ulong.MaxValue, request, MmuExtendedCommand.InvalidatePageAll);
                return 0;
            case MmuExtendedCommand.FlushCache:
                // Only for domains with devices.
                return -Errno.Access;
            case MmuExtendedCommand.FlushCacheGlobal:
                return -Errno.Invalid;
            case MmuExtendedCommand.SetLdt:
                return _mmu.Descriptors.SetLdt(vcpu, request.Argument1, (uint)request.Argument2);
            case MmuExtendedCommand.ClearPage:
                return ClearPage(request.Argument1);
            case MmuExtendedCommand.CopyPage:
                return CopyPage(request.Argument1, request.Argument2);
            case MmuExtendedCommand.MarkSuperPage or MmuExtendedCommand.UnmarkSuperPage:
                return -Errno.NotSupported;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private void Flush(PvVcpu vcpu, ulong mask, in MmuExtRequest request, MmuExtendedCommand pageCommand)
    {
        if ((MmuExtendedCommand)request.Command == pageCommand)
        {
            _mmu.Flushes.FlushPage(vcpu, mask, request.Argument1);
        }
        else
        {
            _mmu.Flushes.FlushChanged(mask);
        }
    }

    private int LoadRoot(PvVcpu vcpu, ulong frame, bool user)
    {
        lock (_mmu.MmuLock)
        {
            return _mmu.TryLoadRoot(vcpu, frame, user);
        }
    }

    private int Pin(ulong frame, FrameType type)
    {
        lock (_mmu.MmuLock)
        {
            int error = _mmu.Types.Acquire(frame, type);
            if (error != 0)
            {
                return error;
            }

            _mmu.Space.TryGet(frame, out int index);
            if (_mmu.Space[index].Pinned)
            {
                _mmu.Types.Release(frame);
                return -Errno.Invalid;
            }

            _mmu.Space[index].Pinned = true;
            return 0;
        }
    }

    private int Unpin(ulong frame)
    {
        lock (_mmu.MmuLock)
        {
            if (!_mmu.Space.IsGuests(frame) || !_mmu.Space.TryGet(frame, out int index) || !_mmu.Space[index].Pinned)
            {
                return -Errno.Invalid;
            }

            _mmu.Space[index].Pinned = false;
            _mmu.Types.Release(frame);
            return 0;
        }
    }

    private int ClearPage(ulong frame)
    {
        lock (_mmu.MmuLock)
        {
            int error = _mmu.Types.Acquire(frame, FrameType.Writable);
            if (error == 0)
            {
                _mmu.Space.Memory.Clear(frame);
                _mmu.Types.Release(frame);
            }

            return error;
        }
    }

    private int CopyPage(ulong target, ulong source)
    {
        lock (_mmu.MmuLock)
        {
            int error = _mmu.Space.IsGuests(source) ? _mmu.Types.Acquire(target, FrameType.Writable) : -Errno.Invalid;
            if (error == 0)
            {
                _mmu.Space.Memory.TryWrite(target << GuestMemory.PageShift, _mmu.Space.Memory.FrameSpan(source));
                _mmu.Types.Release(target);
            }

            return error;
        }
    }
}
