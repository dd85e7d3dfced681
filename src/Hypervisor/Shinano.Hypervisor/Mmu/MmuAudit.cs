using System.Runtime.InteropServices;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Counts every use of every frame anew, from the page tables themselves, and compares with the books of <see cref="PageTypes"/>. For tests and for a domain
/// that is suspected; takes the MMU lock for as long as it looks at all memory.
/// </summary>
public sealed class MmuAudit
{
    private readonly MmuHypercalls _mmu;
    private readonly MachineSpace _space;
    private readonly long[] _uses;
    private readonly long[] _references;
    private long _holds;

    private MmuAudit(MmuHypercalls mmu)
    {
        _mmu = mmu;
        _space = mmu.Space;
        _uses = new long[_space.EndFrame - MachineSpace.FirstFrame];
        _references = new long[_uses.Length];
    }

    /// <summary>Looks for a difference.</summary>
    /// <param name="holds">References to data pages beyond those that the audit knows: what subsystems hold for themselves (rings, moved vCPU infos).</param>
    /// <returns>The first difference, or null.</returns>
    public static string? Find(MmuHypercalls mmu, out long holds)
    {
        lock (mmu.MmuLock)
        {
            do
            {
                mmu.Types.BeginWork();
            }
            while (!mmu.Types.Finish());

            MmuAudit audit = new(mmu);
            string? problem = audit.Find();
            holds = audit._holds;
            return problem;
        }
    }

    private string? Find()
    {
        ulong owned = 0;
        for (int i = 0; i < _uses.Length; i++)
        {
            ref FrameInfo info = ref _space[i];
            owned += info.Owner == FrameOwner.Guest ? 1UL : 0;
            if (info.Pinned)
            {
                Use(MachineSpace.FirstFrame + (ulong)i);
            }

            if (info.TypeCount > 0 && info.Type is >= FrameType.L1 and <= FrameType.L4 && CountEntries(i, (int)info.Type) is { } problem)
            {
                return problem;
            }
        }

        foreach (PvVcpu vcpu in _mmu.Domain.Vcpus)
        {
            foreach (ulong frame in (ReadOnlySpan<ulong>)[.. vcpu.GdtFrames, .. vcpu.LdtFrames, vcpu.KernelRoot >> 12, vcpu.UserRoot >> 12])
            {
                if (frame != 0)
                {
                    Use(frame);
                }
            }
        }

        return owned != _space.TotalPages ? $"{_space.TotalPages} pages counted, {owned} there" : Compare();
    }

    private string? Compare()
    {
        for (int i = 0; i < _uses.Length; i++)
        {
            ref FrameInfo info = ref _space[i];
            bool mayBeHeld = info.TypeCount == 0 || info.Type == FrameType.Writable;
            long uses = info.TypeCount - _uses[i];
            long references = info.References - _references[i];
            _holds += references;
            string? problem = uses < 0 || references < uses || (!mayBeHeld && uses != 0)
                ? $"{info.TypeCount} uses and {info.References} references counted, {_uses[i]} and {_references[i]} there"
                : info.Dropping ? "still being taken apart"
                : info.Leaving && info.References == 0 ? "given back and not free"
                : info.Owner != FrameOwner.Nobody != _space.Memory.IsRam(MachineSpace.FirstFrame + (ulong)i) ? "memory without an owner, or the other way round"
                : null;
            if (problem is not null)
            {
                return $"{Describe(i)}: {problem}";
            }
        }

        return null;
    }

    private string? CountEntries(int table, int level)
    {
        Span<ulong> entries = MemoryMarshal.Cast<byte, ulong>(_space.Memory.FrameSpan(MachineSpace.FirstFrame + (ulong)table));
        int linear = 0;
        for (int slot = 0; slot < entries.Length; slot++)
        {
            ulong entry = entries[slot];
            if ((entry & PageTableEntry.Present) == 0 || (level == 4 && slot is >= AddressSpaceLayout.FirstXenSlot and <= AddressSpaceLayout.LastXenSlot))
            {
                continue;
            }

            string where = $"{Describe(table)} entry {slot} ({entry:x})";
            if (!_space.TryGet(PageTableEntry.Frame(entry), out int target))
            {
                return $"{where} leads out of the machine space";
            }

            if (!EntryRules.IsAllowed(level, entry) || (entry & PageTableEntry.User) == 0)
            {
                return $"{where} has bits that it should not have, or lacks the user bit";
            }

            ref FrameInfo info = ref _space[target];
            bool writable = (entry & PageTableEntry.Writable) != 0;
            if (level == 1)
            {
                _references[target]++;
                _uses[target] += writable ? 1 : 0;
                if (info.Owner is not (FrameOwner.Guest or FrameOwner.Shared) || (writable && info.Type != FrameType.Writable))
                {
                    return $"{where} maps {Describe(target)}";
                }

                continue;
            }

            bool isLinear = target == table || info.Type == (FrameType)level;
            if (isLinear ? writable : info.Type != (FrameType)(level - 1))
            {
                return $"{where} has {Describe(target)} as a table";
            }

            if (target != table)
            {
                _uses[target]++;
                _references[target]++;
                linear += isLinear ? 1 : 0;
            }
        }

        short counted = _space[table].LinearCount;
        return (linear == 0 ? counted > 0 : counted != linear) ? $"{Describe(table)}: {counted} linear entries counted, {linear} there" : null;
    }

    private void Use(ulong frame)
    {
        _uses[frame - MachineSpace.FirstFrame]++;
        _references[frame - MachineSpace.FirstFrame]++;
    }

    private string Describe(int index) => $"frame {MachineSpace.FirstFrame + (ulong)index:x} ({_space[index].Owner}, {_space[index].Type})";
}
