using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu;

/// <summary>The 4-level walk of long mode over a domain's memory. Source: SDM 3A §4.5. Used by engines on a TLB miss and by the hypervisor.</summary>
public static class PageWalker
{
    /// <summary>What the walk needs of the CPU's mode.</summary>
    /// <param name="Root">CR3; bits 12 to 51 count.</param>
    /// <param name="User">CPL 3.</param>
    /// <param name="WriteProtect">CR0.WP.</param>
    /// <param name="NoExecute">EFER.NXE.</param>
    public readonly record struct Context(ulong Root, bool User, bool WriteProtect, bool NoExecute);

    /// <summary>Result of a walk that succeeded.</summary>
    /// <param name="Physical">Physical address of the byte asked for.</param>
    /// <param name="Writable">A write by the same privilege would pass, dirty bit aside.</param>
    /// <param name="Dirty">The leaf's dirty bit is set: writes need no further walk.</param>
    /// <param name="Executable">A fetch by the same privilege would pass.</param>
    /// <param name="PageShift">12, 21 or 30.</param>
    public readonly record struct Translation(ulong Physical, bool Writable, bool Dirty, bool Executable, int PageShift);

    /// <summary>Translates <paramref name="linear"/> for an access and sets accessed and dirty bits as the CPU does.</summary>
    /// <param name="access"><see cref="PageFaultErrors.Write"/>, <see cref="PageFaultErrors.InstructionFetch"/>, or None for a read.</param>
    /// <param name="error">On failure, the page fault's error code.</param>
    /// <param name="cache">Where walks of this vCPU led before; it learns from this one.</param>
    /// <returns>False when the access faults. A walk that leaves the domain's memory faults as not present.</returns>
    public static bool TryTranslate(
        GuestMemory memory, in Context context, ulong linear, PageFaultErrors access, out Translation translation, out PageFaultErrors error,
        PagingStructureCache? cache = null)
    {
        translation = default;
        bool write = (access & PageFaultErrors.Write) != 0;
        bool fetch = (access & PageFaultErrors.InstructionFetch) != 0;
        error = access | (context.User ? PageFaultErrors.User : PageFaultErrors.None);
        if (!context.NoExecute)
        {
            error &= ~PageFaultErrors.InstructionFetch;
        }

        ulong root = context.Root & PageTableEntry.AddressMask;
        while (true)
        {
            int level = 1;
            if (cache is null || !cache.TryFind(root, linear, out ulong table, out ulong rights, out ulong noExecute))
            {
                (level, table, rights, noExecute) = (4, root, PageTableEntry.Writable | PageTableEntry.User, 0);
            }

            bool raced = false;
            for (; ; level--)
            {
                ulong entryAddress = table + ((ulong)PageTableEntry.Index(linear, level) * 8);
                if (!memory.TryReadUInt64(entryAddress, out ulong entry) || (entry & PageTableEntry.Present) == 0)
                {
                    return false;
                }

                bool large = level is 2 or 3 && (entry & PageTableEntry.LargePage) != 0;
                if (level == 4 && (entry & PageTableEntry.LargePage) != 0)
                {
                    error |= PageFaultErrors.Present | PageFaultErrors.ReservedBit;
                    return false;
                }

                rights &= entry;
                noExecute |= entry;
                bool leaf = level == 1 || large;
                if (leaf && !Permits(context, rights, noExecute, write, fetch))
                {
                    error |= PageFaultErrors.Present;
                    return false;
                }

                ulong wanted = entry | PageTableEntry.Accessed | (leaf && write ? PageTableEntry.Dirty : 0);
                if (wanted != entry)
                {
                    // Accessed and dirty bits are set with a locked exchange (SDM 3A §4.8); a race starts the walk anew.
                    memory.TryCompareExchange(entryAddress, wanted, entry, out ulong seen);
                    if (seen != entry)
                    {
                        raced = true;
                        break;
                    }
                }

                if (leaf)
                {
                    int shift = 3 + (9 * level);
                    ulong offsetMask = (1UL << shift) - 1;
                    ulong physical = (entry & PageTableEntry.AddressMask & ~offsetMask) | (linear & offsetMask);
                    if (!memory.IsRam(physical >> GuestMemory.PageShift))
                    {
                        return false;
                    }

                    translation = new Translation(
                        physical,
                        Permits(context, rights, noExecute, write: true, fetch: false)
                            && (memory.FlagsOf(physical >> GuestMemory.PageShift) & FrameFlags.ReadOnly) == 0,
                        (wanted & PageTableEntry.Dirty) != 0,
                        Permits(context, rights, noExecute, write: false, fetch: true),
                        shift);
                    return !write || translation.Writable || Deny(ref error);
                }

                table = entry & PageTableEntry.AddressMask;
                if (level == 2)
                {
                    cache?.Enter(root, linear, table, rights, noExecute);
                }
            }

            if (!raced)
            {
                return false;
            }
        }
    }

    private static bool Deny(ref PageFaultErrors error)
    {
        error |= PageFaultErrors.Present;
        return false;
    }

    private static bool Permits(in Context context, ulong rights, ulong noExecute, bool write, bool fetch) =>
        (!context.User || (rights & PageTableEntry.User) != 0)
        && (!write || (rights & PageTableEntry.Writable) != 0 || (!context.User && !context.WriteProtect))
        && (!fetch || !context.NoExecute || (noExecute & PageTableEntry.NoExecute) == 0);
}
