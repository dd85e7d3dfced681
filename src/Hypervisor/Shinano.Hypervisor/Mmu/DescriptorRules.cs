using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Mmu;

/// <summary>Which descriptors a guest may have. Source: Xen's check_descriptor: no system descriptors, no ring 0, code and data of rings 1 to 3.</summary>
public static class DescriptorRules
{
    private const ulong Present = 1UL << 47;
    private const ulong CodeOrData = 1UL << 44;
    private const ulong PrivilegeMask = 3UL << 45;
    private const ulong ConformingCode = (1UL << 43) | (1UL << 42);

    /// <summary>Checks a descriptor and lifts its privilege to ring 3 where it is more privileged, as the guest's kernel runs there.</summary>
    /// <returns>False for one that no guest may load.</returns>
    public static bool TryFix(ref ulong descriptor)
    {
        if ((descriptor & Present) == 0)
        {
            return true;
        }

        if ((descriptor & CodeOrData) == 0)
        {
            // A gate or system descriptor: only an empty one could be loaded.
            return false;
        }

        if ((descriptor & PrivilegeMask) != PrivilegeMask)
        {
            if ((descriptor & ConformingCode) == ConformingCode)
            {
                return false;
            }

            descriptor |= PrivilegeMask;
        }

        return true;
    }

    /// <summary>Checks and fixes a frame of descriptors before it becomes part of a descriptor table.</summary>
    /// <returns>0 or -EINVAL.</returns>
    internal static int FixUpFrame(GuestMemory memory, ulong frame)
    {
        for (int i = 0; i < 512; i++)
        {
            ulong address = (frame << 12) + ((ulong)i * 8);
            memory.TryReadUInt64(address, out ulong descriptor);
            ulong fixedUp = descriptor;
            if (!TryFix(ref fixedUp))
            {
                return -Errno.Invalid;
            }

            if (fixedUp != descriptor)
            {
                memory.TryWriteUInt64(address, fixedUp);
            }
        }

        return 0;
    }
}
