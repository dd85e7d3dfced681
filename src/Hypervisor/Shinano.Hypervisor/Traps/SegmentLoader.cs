using Shinano.Cpu;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Hypervisor.Traps;

/// <summary>
/// Loads segment registers on the hypervisor's behalf (the iret hypercall, SEGBASE_GS_USER_SEL), with the checks that the CPU makes for CPL 3. The
/// descriptor tables are read where GDTR and LDTR say, with supervisor rights, as the CPU does.
/// </summary>
internal static class SegmentLoader
{
    private const ushort PresentBit = 1 << 7;
    private const ushort CodeOrData = 1 << 4;
    private const ushort CodeType = 1 << 3;
    private const ushort ConformingOrDown = 1 << 2;
    private const ushort ReadableOrWritable = 1 << 1;

    /// <summary>Code segment for a return to CPL 3. Source: SDM 2A, IRET.</summary>
    public static bool TryLoadCode(PvVcpu vcpu, ushort selector, out SegmentRegister segment)
    {
        if (!TryRead(vcpu, selector, out segment)
            || (segment.Attributes & (PresentBit | CodeOrData | CodeType)) != (PresentBit | CodeOrData | CodeType)
            || (segment.Attributes & (SegmentRegister.LongMode | SegmentRegister.DefaultBig)) == (SegmentRegister.LongMode | SegmentRegister.DefaultBig))
        {
            return false;
        }

        int privilege = Privilege(segment);
        return (segment.Attributes & ConformingOrDown) != 0 ? privilege <= 3 : privilege == 3;
    }

    /// <summary>Stack segment for CPL 3: writable data of DPL 3. The null selector is refused.</summary>
    public static bool TryLoadStack(PvVcpu vcpu, ushort selector, out SegmentRegister segment) =>
        TryRead(vcpu, selector, out segment)
        && (segment.Attributes & (PresentBit | CodeOrData | CodeType | ReadableOrWritable)) == (PresentBit | CodeOrData | ReadableOrWritable)
        && Privilege(segment) == 3
        && (selector & 3) == 3;

    /// <summary>DS, ES, FS or GS; the null selector loads a zero base.</summary>
    public static bool TryLoadData(PvVcpu vcpu, ushort selector, out SegmentRegister segment)
    {
        if (selector <= 3)
        {
            segment = FlatSegments.Null(selector);
            return true;
        }

        return TryRead(vcpu, selector, out segment)
            && (segment.Attributes & (PresentBit | CodeOrData)) == (PresentBit | CodeOrData)
            && ((segment.Attributes & CodeType) == 0 || (segment.Attributes & ReadableOrWritable) != 0)
            && Privilege(segment) == 3;
    }

    private static int Privilege(in SegmentRegister segment) => (segment.Attributes >> 5) & 3;

    private static unsafe bool TryRead(PvVcpu vcpu, ushort selector, out SegmentRegister segment)
    {
        if (FlatSegments.TryGet(selector, out segment))
        {
            return true;
        }

        segment = default;
        if (selector <= 3)
        {
            return false;
        }

        ref SegmentRegister table = ref (selector & 4) != 0 ? ref vcpu.State->Ldtr : ref vcpu.State->Gdtr;
        uint offset = selector & ~7u;
        if (offset + 7 > table.Limit)
        {
            return false;
        }

        ulong address;
        if ((selector & 4) == 0 && offset >> GuestMemory.PageShift < (uint)vcpu.GdtFrames.Length)
        {
            // The guest's own entries; what follows them in the table, and the LDT, is found as the CPU finds it.
            address = (vcpu.GdtFrames[offset >> GuestMemory.PageShift] << GuestMemory.PageShift) + (offset & (GuestMemory.PageSize - 1));
        }
        else
        {
            PageWalker.Context supervisor = new(vcpu.CurrentRoot, User: false, WriteProtect: true, NoExecute: true);
            if (!PageWalker.TryTranslate(vcpu.Domain.Memory, in supervisor, table.Base + offset, PageFaultErrors.None, out PageWalker.Translation at, out _))
            {
                return false;
            }

            address = at.Physical;
        }

        if (!vcpu.Domain.Memory.TryReadUInt64(address, out ulong descriptor))
        {
            return false;
        }

        // SDM 3A figure 3-8: limit 0-15 and 48-51, base 16-39 and 56-63, attributes 40-47 and 52-55.
        uint limit = (uint)(descriptor & 0xFFFF) | ((uint)(descriptor >> 32) & 0xF0000);
        ushort attributes = (ushort)((descriptor >> 40) & 0xF0FF);
        segment = new SegmentRegister
        {
            Selector = selector,
            Base = ((descriptor >> 16) & 0xFFFFFF) | ((descriptor >> 32) & 0xFF000000),
            Limit = (attributes & 0x8000) != 0 ? (limit << 12) | 0xFFF : limit,
            Attributes = attributes,
        };
        return true;
    }
}
