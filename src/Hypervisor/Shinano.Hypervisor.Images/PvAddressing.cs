using System.Collections.Immutable;
using Shinano.Hypervisor.Images.Elf;

namespace Shinano.Hypervisor.Images;

/// <summary>
/// Turns an ELF file and its Xen notes into the addresses of a 64-bit PV domain, by the rules of Xen's libelf
/// (elf_parse_binary, elf_xen_note_check and elf_xen_addr_calc_check of Xen 4.17) and of libxenguest's ELF loader.
/// </summary>
internal static class PvAddressing
{
    /// <summary>
    /// The image must fit in the 512 GiB that one L4 entry maps and the builder fills; it also keeps sums far from overflow.
    /// </summary>
    private const ulong MaximumSpan = 1UL << 39;

    public static KernelImageResult Build(ElfFile elf, XenElfNotes notes, PayloadInfo payload)
    {
        if (elf.Machine is not (ElfConstants.MachineX8664 or ElfConstants.MachineI386))
        {
            return Refuse(
                KernelImageError.UnsupportedArchitecture,
                $"this kernel is for ELF machine {elf.Machine}; a PV domain needs x86-64 (62)");
        }

        var loadable = elf.ProgramHeaders.Where(header => header.IsLoadable).ToImmutableArray();
        if (CheckSegments(elf, loadable) is { } malformed)
        {
            return Refuse(KernelImageError.MalformedElf, $"this ELF file cannot be loaded: {malformed}");
        }

        if (CheckNotes(elf, notes, payload) is { } refused)
        {
            return new KernelImageResult(refused);
        }

        var physicalStart = loadable.Min(header => header.PhysicalAddress);
        var physicalEnd = loadable.Max(header => header.PhysicalAddress + header.MemorySize);
        if (physicalEnd - physicalStart > MaximumSpan)
        {
            return Refuse(KernelImageError.MalformedElf, $"its segments span {physicalEnd - physicalStart} bytes, more than 512 GiB");
        }

        if (notes is { PhysicalOffset: not null, VirtualBase: null })
        {
            return Refuse(KernelImageError.InvalidXenNotes, "it has an ELF_PADDR_OFFSET note but no VIRT_BASE to go with it");
        }

        var virtualBase = notes.VirtualBase ?? 0;
        var elfPhysicalOffset = notes.PhysicalOffset ?? (notes.Source == XenNotesSource.LegacySection ? virtualBase : 0);
        var shift = unchecked(virtualBase - elfPhysicalOffset);
        var segments = LoadSegments(elf, loadable, shift, virtualBase);
        var virtualStart = unchecked(physicalStart + shift);
        var virtualEnd = unchecked(physicalEnd + shift);
        if (notes.BsdSymbolTable && BsdSymbolTable.TryBuild(elf, out var symbols))
        {
            var address = (virtualEnd + 7) & ~7UL;
            segments = segments.Add(new KernelSegment(
                address, address, unchecked(address - virtualBase), symbols, (ulong)symbols.Length, Writable: false, Executable: false));
            virtualEnd = unchecked(address + (ulong)symbols.Length);
        }

        var entry = notes.Entry ?? elf.EntryPoint;
        if (CheckAddresses(notes, virtualBase, virtualStart, virtualEnd, entry) is { } wrong)
        {
            return Refuse(KernelImageError.InvalidXenNotes, wrong);
        }

        return new KernelImageResult(new KernelImage
        {
            Container = payload.Container,
            Compression = payload.Compression,
            LinuxVersion = payload.LinuxVersion,
            Notes = notes,
            Segments = segments,
            VirtualBase = virtualBase,
            ElfPhysicalOffset = elfPhysicalOffset,
            VirtualStart = virtualStart,
            VirtualEnd = virtualEnd,
            Entry = entry,
            Elf = elf.Bytes,
        });
    }

    private static KernelImageFailure? CheckNotes(ElfFile elf, XenElfNotes notes, PayloadInfo payload)
    {
        // A kernel built for PVH alone still names its system and its Xen version: only an entry or a base makes it PV.
        var hasPvEntry = notes.Source == XenNotesSource.LegacySection
            || notes.Entry is not null || notes.VirtualBase is not null
            || (notes.Source != XenNotesSource.None && notes.Phys32Entry is null);
        if (!hasPvEntry)
        {
            return new(KernelImageError.NoPvSupport, NoPvSupport(elf, notes, payload));
        }

        if (!elf.Is64Bit || elf.Machine == ElfConstants.MachineI386)
        {
            var kind = notes.PaeMode is null or "no" ? "x86_32" : "x86_32p";
            return new(
                KernelImageError.ThirtyTwoBitPv,
                $"this is a 32-bit PV kernel ({kind}, guest OS \"{notes.GuestOs}\"); only 64-bit PV kernels can be started");
        }

        var forAnyLoader = notes.Loader is { } loader && loader.StartsWith("generic", StringComparison.Ordinal);
        var isLinux = notes.GuestOs is { } system && system.StartsWith("linux", StringComparison.Ordinal);
        if (!forAnyLoader && !isLinux)
        {
            return new(
                KernelImageError.InvalidXenNotes,
                $"its Xen notes name loader \"{notes.Loader}\" and guest OS \"{notes.GuestOs}\"; Xen starts loader \"generic\" or guest OS \"linux\"");
        }

        if (notes.XenVersion is not { } version || !version.StartsWith("xen-3.0", StringComparison.Ordinal))
        {
            return new(
                KernelImageError.InvalidXenNotes,
                $"its Xen notes ask for the interface \"{notes.XenVersion}\"; this is \"xen-3.0\"");
        }

        if (!notes.UnknownRequiredFeatures.IsEmpty)
        {
            return new(
                KernelImageError.InvalidXenNotes,
                $"it requires features that are not known here: {string.Join(", ", notes.UnknownRequiredFeatures)}");
        }

        return (notes.RequiredFeatures & (1u << Notes.FeatureString.Dom0)) == 0
            ? null
            : new(KernelImageError.InvalidXenNotes, "it can only run as domain 0 (it requires the feature \"dom0\")");
    }

    /// <summary>Says what the kernel has instead, so that the reader knows which other kind of domain to try.</summary>
    private static string NoPvSupport(ElfFile elf, XenElfNotes notes, PayloadInfo payload)
    {
        var what = payload.Container == KernelContainer.BzImage
            ? $"a Linux bzImage ({payload.Compression.ToString().ToLowerInvariant()} payload"
                + (payload.LinuxVersion is { } version ? $", version {version.Split(' ')[0]})" : ")")
            : $"a {(elf.Is64Bit ? 64 : 32)}-bit ELF file";
        return notes.Phys32Entry is { } entry
            ? $"this kernel has no Xen PV entry: it is {what} with a PVH entry at 0x{entry:x} and no ENTRY or VIRT_BASE note"
            : $"this kernel has no Xen PV support: it is {what} without Xen notes (Linux needs CONFIG_XEN_PV)";
    }

    private static string? CheckSegments(ElfFile elf, ImmutableArray<ElfProgramHeader> loadable)
    {
        if (loadable.IsEmpty)
        {
            return elf.Type == ElfConstants.TypeRelocatable
                ? "it is an object file (a kernel module?), not a linked kernel"
                : "it has no loadable segment";
        }

        foreach (var header in loadable)
        {
            if (header.FileSize > header.MemorySize)
            {
                return $"the segment at physical 0x{header.PhysicalAddress:x} has more bytes in the file than in memory";
            }

            if (!elf.TrySlice(header.Offset, header.FileSize, out _))
            {
                return $"the segment at physical 0x{header.PhysicalAddress:x} lies beyond the end of the file (is the file truncated?)";
            }

            if (header.MemorySize > ulong.MaxValue - header.PhysicalAddress)
            {
                return $"the segment at physical 0x{header.PhysicalAddress:x} wraps around the address space";
            }
        }

        return null;
    }

    private static ImmutableArray<KernelSegment> LoadSegments(
        ElfFile elf, ImmutableArray<ElfProgramHeader> loadable, ulong shift, ulong virtualBase)
    {
        var segments = ImmutableArray.CreateBuilder<KernelSegment>(loadable.Length + 1);
        foreach (var header in loadable)
        {
            _ = elf.TrySlice(header.Offset, header.FileSize, out var bytes);
            var address = unchecked(header.PhysicalAddress + shift);
            segments.Add(new KernelSegment(
                address,
                header.VirtualAddress,
                unchecked(address - virtualBase),
                bytes,
                header.MemorySize,
                (header.Flags & ElfConstants.FlagWrite) != 0,
                (header.Flags & ElfConstants.FlagExecute) != 0));
        }

        return segments.ToImmutable();
    }

    private static string? CheckAddresses(XenElfNotes notes, ulong virtualBase, ulong start, ulong end, ulong entry)
    {
        if (start > end || virtualBase > start || entry < start || entry > end)
        {
            return $"its addresses are out of bounds: VIRT_BASE 0x{virtualBase:x}, image 0x{start:x} to 0x{end:x}, entry 0x{entry:x}";
        }

        return notes.InitialP2M is { } table && table >= start && table < end
            ? $"it wants its P2M at 0x{table:x}, inside the image (0x{start:x} to 0x{end:x})"
            : null;
    }

    private static KernelImageResult Refuse(KernelImageError error, string message) => new(new KernelImageFailure(error, message));
}
