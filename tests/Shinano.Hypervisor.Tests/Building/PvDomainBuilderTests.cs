using System.Buffers.Binary;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Building;

public sealed class PvDomainBuilderTests
{
    private const ulong Base = 0xFFFF_FFFF_8000_0000;
    private const ulong ListAddress = 0x80_0000_0000;

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Start_info_leads_to_everything_a_kernel_needs(bool ownList, bool unmappedRamdisk)
    {
        Built built = Build(ownList, unmappedRamdisk, pages: 32 * 256);
        Span<byte> info = stackalloc byte[1168];
        Assert.True(built.Vcpu.Guest.TryRead(built.Result.StartInfo, info));
        Assert.True(info.StartsWith("xen-3.0-x86_64\0"u8));
        Assert.Equal(32UL * 256, Word(info, 32));
        Assert.Equal(built.Domain.SharedInfoFrame.Address, Word(info, 40));
        Assert.Equal(built.Result.StoreRing.Value, Word(info, 56));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(info[64..]));
        Assert.Equal(built.Result.ConsoleRing.Value, Word(info, 72));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(info[80..]));
        Assert.True(info[128..].StartsWith("console=hvc0\0"u8));
        Assert.Equal(ownList ? ListAddress : Word(info, 104), Word(info, 104));

        // The P2M names every page's machine frame, and the M2P leads back.
        for (ulong pfn = 0; pfn < 32 * 256; pfn += 97)
        {
            Assert.True(built.Vcpu.Guest.TryRead(Word(info, 104) + (pfn * 8), out ulong mfn));
            Assert.NotEqual(pfn, mfn);
            Assert.True(built.Vcpu.Guest.TryRead(AddressSpaceLayout.MachineToPhysicalStart + (mfn * 8), out ulong back));
            Assert.Equal(pfn, back);
        }

        Span<byte> ramdisk = stackalloc byte[5];
        ulong start = Word(info, 112);
        Assert.Equal(5000UL, Word(info, 120));
        if (unmappedRamdisk)
        {
            Assert.Equal(8u, BinaryPrimitives.ReadUInt32LittleEndian(info[48..]));
            Assert.True(built.Domain.Memory.TryRead(MachineSpace.InitialFrame(start, 32 * 256) << 12, ramdisk));
        }
        else
        {
            Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(info[48..]));
            Assert.True(built.Vcpu.Guest.TryRead(start, ramdisk));
        }

        Assert.Equal([7, 7, 7, 7, 7], ramdisk.ToArray());
    }

    [Fact]
    public void Page_tables_are_mapped_read_only_and_the_rest_writable()
    {
        Built built = Build(ownList: true, unmappedRamdisk: true, pages: 32 * 256);
        Span<byte> info = stackalloc byte[1168];
        Assert.True(built.Vcpu.Guest.TryRead(built.Result.StartInfo, info));
        ulong tables = Word(info, 88);
        ulong count = Word(info, 96);
        for (ulong i = 0; i < count; i++)
        {
            Assert.True(built.Vcpu.Guest.TryTranslate(tables + (i << 12), PageFaultErrors.None, out ulong physical));
            Assert.False(built.Vcpu.Guest.TryTranslate(tables + (i << 12), PageFaultErrors.Write, out _));
            Assert.True(built.Mmu.Space.TryGet(physical >> 12, out int index));
            Assert.NotEqual(FrameType.Writable, built.Mmu.Space[index].Type);
        }

        Assert.True(built.Vcpu.Guest.TryTranslate(built.Result.StackTop - 8, PageFaultErrors.Write, out _));
        Assert.True(built.Vcpu.Guest.TryTranslate(built.Result.StackTop + (500 << 10), PageFaultErrors.Write, out _));
    }

    [Fact]
    public void A_domain_too_small_for_its_kernel_is_told_how_much_it_needs()
    {
        DomainBuildException error = Assert.Throws<DomainBuildException>(() => Build(true, true, pages: 16));
        Assert.Contains("MiB", error.Message, StringComparison.Ordinal);
    }

    private static ulong Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private static Built Build(bool ownList, bool unmappedRamdisk, ulong pages)
    {
        KernelImage kernel = new()
        {
            Container = KernelContainer.Elf,
            Compression = PayloadCompression.None,
            Notes = new XenElfNotes
            {
                Source = XenNotesSource.NoteSegments,
                VirtualBase = Base,
                InitialP2M = ownList ? ListAddress : null,
                ModuleStartIsPfn = unmappedRamdisk,
            },
            Segments = [new KernelSegment(Base + 0x100000, Base + 0x100000, 0x100000, new byte[] { 0x90, 0xF4 }, 0x2000, true, true)],
            VirtualBase = Base,
            ElfPhysicalOffset = 0,
            VirtualStart = Base + 0x100000,
            VirtualEnd = Base + 0x102000,
            Entry = Base + 0x100000,
            Elf = default,
        };
        MachineSpace space = MachineSpace.Create(pages, 1);
        Domain domain = new(new DomainId(1), Guid.NewGuid(), space.Memory, 1);
        Assert.True(space.TryAllocateShared(out Mfn shared));
        domain.SharedInfoFrame = shared;
        MmuHypercalls mmu = new(domain, space);
        PvVcpu vcpu = new(domain, 0, new ScriptedCpu());
        domain.AddVcpu(vcpu);
        byte[] ramdisk = new byte[5000];
        ramdisk.AsSpan().Fill(7);
        PvBuildResult result = new PvDomainBuilder(domain, mmu).Build(
            new PvBuildRequest(kernel, ramdisk, "console=hvc0", pages, new EventPort(1), new EventPort(2)));
        Assert.Equal(0, mmu.LoadRoot(vcpu, result.Root.Value, user: false));
        return new Built(domain, mmu, vcpu, result);
    }

    private sealed record Built(Domain Domain, MmuHypercalls Mmu, PvVcpu Vcpu, PvBuildResult Result);
}
