using Shinano.Hypervisor.Images;

namespace Shinano.Hypervisor.Tests.Building;

/// <summary>A kernel of two pages that does nothing, with the notes a test wants.</summary>
internal static class SyntheticKernel
{
    public const ulong Base = 0xFFFF_FFFF_8000_0000;
    public const ulong ImageOffset = 0x100000;
    public const ulong ImageSize = 0x2000;

    public static KernelImage Create(
        ulong virtualBase = Base, ulong? listAddress = null, bool unmappedRamdisk = false, ulong? hypercallPage = null, uint requiredFeatures = 0) => new()
        {
            Container = KernelContainer.Elf,
            Compression = PayloadCompression.None,
            Notes = new XenElfNotes
            {
                Source = XenNotesSource.NoteSegments,
                VirtualBase = virtualBase,
                InitialP2M = listAddress,
                ModuleStartIsPfn = unmappedRamdisk,
                HypercallPage = hypercallPage,
                RequiredFeatures = requiredFeatures,
            },
            Segments =
            [
                new KernelSegment(
                    virtualBase + ImageOffset, virtualBase + ImageOffset, ImageOffset, new byte[] { 0x90, 0xF4 }, ImageSize, Writable: true, Executable: true),
            ],
            VirtualBase = virtualBase,
            ElfPhysicalOffset = 0,
            VirtualStart = virtualBase + ImageOffset,
            VirtualEnd = virtualBase + ImageOffset + ImageSize,
            Entry = virtualBase + ImageOffset,
            Elf = default,
        };
}
