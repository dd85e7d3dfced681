using System.Runtime.InteropServices;
using Shinano.Hypervisor.Traps;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>
/// Which descriptors a guest may have: code and data, lifted to ring 3 where its kernel runs, and call gates made unusable, for their use faults and can be
/// emulated. No other gates and no system segments. Source: Xen's check_descriptor; SDM 3A figure 3-8.
/// </summary>
public static class DescriptorRules
{
    private const ulong Present = 1UL << 47;
    private const ulong CodeOrData = 1UL << 44;
    private const int PrivilegeShift = 45;
    private const ulong PrivilegeMask = 3UL << PrivilegeShift;
    private const ulong TypeMask = 0xFUL << 40;
    private const ulong CallGate = 0xCUL << 40;
    private const ulong CallGateReserved = 0xFFUL << 32;
    private const int SelectorShift = 16;

    /// <summary>Selectors at and above are Xen's. Source: public/arch-x86/xen.h: FIRST_RESERVED_GDT_BYTE.</summary>
    private const ushort FirstReservedSelector = 0xE000;

    private const ushort LocalTable = 4;

    /// <summary>Checks a descriptor and changes it to what the guest may have.</summary>
    /// <returns>False for one that no guest may have.</returns>
    public static bool TryFix(ref ulong descriptor)
    {
        if ((descriptor & Present) == 0)
        {
            return true;
        }

        if ((descriptor & CodeOrData) != 0)
        {
            descriptor |= PrivilegeMask;
            return true;
        }

        switch (descriptor & TypeMask)
        {
            case 0:
                // The second half of a call gate: no use by itself.
                return true;
            case CallGate:
                // The privilege it had goes to the selector, whose privilege bits mean nothing in a gate.
                ushort selector = (ushort)(descriptor >> SelectorShift);
                if (!IsGateTarget(selector) || (descriptor & CallGateReserved) != 0)
                {
                    return false;
                }

                descriptor = (descriptor & ~(PrivilegeMask | (3UL << SelectorShift))) | (3UL << SelectorShift);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Checks and fixes a frame of descriptors before it becomes part of a descriptor table.</summary>
    /// <returns>0 or -EINVAL.</returns>
    internal static int FixUpFrame(GuestMemory memory, ulong frame)
    {
        foreach (ref ulong descriptor in MemoryMarshal.Cast<byte, ulong>(memory.FrameSpan(frame)))
        {
            ulong fixedUp = descriptor;
            if (!TryFix(ref fixedUp))
            {
                return -Errno.Invalid;
            }

            if (fixedUp != descriptor)
            {
                descriptor = fixedUp;
            }
        }

        return 0;
    }

    /// <summary>Code that a gate may lead to: the guest's own selectors, or Xen's flat 64-bit code. Source: Xen's guest_gate_selector_okay.</summary>
    private static bool IsGateTarget(ushort selector) =>
        selector < FirstReservedSelector || (selector & LocalTable) != 0 || selector == FlatSegments.Code64;
}
