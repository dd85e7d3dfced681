using Shinano.Hypervisor.Hypercalls;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>The MMU's books as the other subsystems use them.</summary>
public sealed class MmuGuestFrames(Domain domain, MmuHypercalls mmu) : IGuestFrames
{
    /// <inheritdoc/>
    public bool TryHold(ulong frame)
    {
        lock (mmu.MmuLock)
        {
            return mmu.Types.Acquire(frame, FrameType.Writable) == 0;
        }
    }

    /// <inheritdoc/>
    public void Release(ulong frame)
    {
        lock (mmu.MmuLock)
        {
            mmu.Types.Release(frame);
        }
    }

    /// <inheritdoc/>
    public bool TryHoldRead(ulong frame)
    {
        lock (mmu.MmuLock)
        {
            if (!mmu.Space.TryGet(frame, out int index)
                || mmu.Space[index].Owner != FrameOwner.Guest
                || mmu.Space[index].Leaving
                || mmu.Space[index].References == uint.MaxValue)
            {
                return false;
            }

            mmu.Space[index].References++;
            return true;
        }
    }

    /// <inheritdoc/>
    public void ReleaseRead(ulong frame)
    {
        lock (mmu.MmuLock)
        {
            if (mmu.Space.TryGet(frame, out int index))
            {
                mmu.Types.Unreference(ref mmu.Space[index], frame);
            }
        }
    }

    /// <inheritdoc/>
    public bool TryAllocateShared(out Mfn frame)
    {
        lock (mmu.MmuLock)
        {
            return mmu.Space.TryAllocateShared(out frame);
        }
    }

    /// <inheritdoc/>
    public bool TryFindEntry(PvVcpu vcpu, ulong address, out ulong entry)
    {
        lock (mmu.MmuLock)
        {
            return mmu.TryFindEntry(vcpu.CurrentRoot, address, out entry);
        }
    }

    /// <inheritdoc/>
    public int ReplaceEntry(PvVcpu vcpu, ulong entry, ulong value, ulong? expectedFrame)
    {
        lock (mmu.MmuLock)
        {
            if (!mmu.Space.TryGet(entry >> 12, out int index)
                || mmu.Space[index].Type != FrameType.L1
                || mmu.Space[index].TypeCount == 0
                || !domain.Memory.TryReadUInt64(entry, out ulong old)
                || (expectedFrame is { } frame && ((old & PageTableEntry.Present) == 0 || PageTableEntry.Frame(old) != frame)))
            {
                return -Errno.Invalid;
            }

            int error = mmu.WriteEntry(entry, value, keepAccessedDirty: false);
            if (error != 0)
            {
                return error;
            }
        }

        // Not under the lock: no other vCPU has to wait for it in order to leave guest code, but all would wait for this.
        mmu.Flushes.FlushChanged(ulong.MaxValue);
        return 0;
    }
}
