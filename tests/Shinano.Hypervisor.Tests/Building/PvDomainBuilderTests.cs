using System.Buffers.Binary;
using CsCheck;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Mmu;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Building;

public sealed class PvDomainBuilderTests
{
    private const ulong ListAddress = 0x80_0000_0000;
    private const ulong Page = 4096;

    /// <summary>What public/xen.h promises of start of day, for kernels of every kind.</summary>
    [Fact]
    public void A_kernel_finds_what_start_of_day_promises() =>
        Gen.Select(Gen.Int[0, 4], Gen.Bool, Gen.Bool, Gen.Int[3000, 9000], Gen.Int[0, 3], Gen.Int[0, 2_000_000]).Sample(
            (where, ownList, unmappedRamdisk, pages, listWhere, ramdiskSize) =>
            {
                ulong virtualBase = where switch
                {
                    0 => 0UL,
                    1 => 0xC000_0000,
                    2 => 0xFFFF_FFFF_8000_0000,
                    3 => 0xFFFF_C000_0000_0000 + (Page * 77),
                    _ => 0x7FFF_FF00_0000,
                };
                ulong listAddress = listWhere switch
                {
                    0 => ListAddress,
                    1 => virtualBase - (1UL << 30),
                    2 => virtualBase - (64UL << 20),
                    _ => 0xFFFF_FF00_0000_0000,
                };
                if (virtualBase <= 0xC000_0000 && listWhere is 1 or 2)
                {
                    listAddress = 0x4000_0000;
                }

                byte[] ramdisk = new byte[ramdiskSize];
                ramdisk.AsSpan().Fill(7);
                KernelImage kernel = SyntheticKernel.Create(
                    virtualBase, ownList ? listAddress : null, unmappedRamdisk, virtualBase + SyntheticKernel.ImageOffset + Page);
                using BuiltGuest guest = new((ulong)pages, kernel: kernel, ramdisk: ramdisk);
                CheckStartOfDay(guest, ramdisk);
                MmuInvariants.Check(guest);
            },
            iter: 60,
            threads: 1);

    [Fact]
    public void The_registers_are_those_of_a_kernel_at_cpl_3()
    {
        using BuiltGuest guest = new();
        unsafe
        {
            Assert.Equal(guest.Kernel.Entry, guest.Vcpu.State->Rip);
            Assert.Equal(guest.Result.StartInfo, guest.Vcpu.State->Gpr[6]);
            Assert.Equal(guest.Result.StackTop, guest.Vcpu.State->Gpr[4]);
            Assert.Equal(guest.Result.Root.Address, guest.Vcpu.State->Cr3);
            Assert.Equal(0xE033, guest.Vcpu.State->Cs.Selector);
            Assert.Equal(3UL, guest.Vcpu.State->Cpl);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sixteen_gibibytes_have_a_p2m_of_many_pages(bool ownList)
    {
        const ulong Pages = 16UL << 18;
        using BuiltGuest guest = new(Pages, kernel: SyntheticKernel.Create(listAddress: ownList ? ListAddress : null));
        ReadOnlySpan<byte> info = StartInfoOf(guest);
        ulong list = Word(info, 104);
        foreach (ulong pfn in (ulong[])[0, 511, 512, 1_000_000, Pages - 1])
        {
            Assert.True(guest.Vcpu.Guest.TryRead(list + (pfn * 8), out ulong mfn));
            Assert.Equal(pfn, guest.Space.GetM2P(mfn));
        }
    }

    [Fact]
    public void A_place_for_the_p2m_counts_only_below_the_kernel_and_on_a_page_boundary()
    {
        foreach (ulong address in (ulong[])[SyntheticKernel.Base + (1UL << 30), ListAddress + 8])
        {
            using BuiltGuest guest = new(kernel: SyntheticKernel.Create(listAddress: address));
            ReadOnlySpan<byte> info = StartInfoOf(guest);
            Assert.InRange(Word(info, 104), SyntheticKernel.Base, guest.Result.StartInfo);
            Assert.Equal(0UL, Word(info, 1160));
        }
    }

    [Fact]
    public void What_cannot_be_built_is_told_by_name_and_number()
    {
        DomainBuildException small = Refused(() => new BuiltGuest(pages: 600));
        Assert.Equal(DomainBuildError.MemoryTooSmall, small.Error);
        Assert.Contains("the domain has 2 MiB", small.Message, StringComparison.Ordinal);
        Assert.Contains("need 4 MiB", small.Message, StringComparison.Ordinal);
        Assert.Equal(DomainBuildError.RamdiskTooLarge, Refused(() => new BuiltGuest(ramdisk: new byte[8 << 20])).Error);
        Assert.Equal(DomainBuildError.MemoryTooSmall, Refused(() => new BuiltGuest(ramdisk: new byte[7 << 20])).Error);
        Assert.Equal(
            DomainBuildError.KernelRequirement, Refused(() => new BuiltGuest(kernel: SyntheticKernel.Create(requiredFeatures: 1 << 3))).Error);
        Assert.Equal(
            DomainBuildError.KernelRequirement, Refused(() => new BuiltGuest(kernel: SyntheticKernel.Create(virtualBase: 0xFFFF_8200_0000_0000))).Error);
        Assert.Equal(
            DomainBuildError.KernelRequirement,
            Refused(() => new BuiltGuest(kernel: SyntheticKernel.Create(listAddress: SyntheticKernel.Base - Page))).Error);
        Assert.Equal(
            DomainBuildError.KernelRequirement,
            Refused(() => new BuiltGuest(kernel: SyntheticKernel.Create(hypercallPage: SyntheticKernel.Base - Page))).Error);
        Assert.Equal(
            DomainBuildError.RamdiskTooLarge,
            Refused(() => new BuiltGuest(pages: 4096, ramdisk: new byte[8 << 20], kernel: SyntheticKernel.Create(virtualBase: 0xFFFF_FFFF_FF80_0000))).Error);
    }

    private static DomainBuildException Refused(Func<BuiltGuest> build) => Assert.Throws<DomainBuildException>(() => build().Dispose());

    private static void CheckStartOfDay(BuiltGuest guest, byte[] ramdisk)
    {
        ReadOnlySpan<byte> info = StartInfoOf(guest);
        Assert.True(info.StartsWith("xen-3.0-x86_64\0"u8));
        Assert.Equal(guest.Pages, Word(info, 32));
        Assert.Equal(guest.Domain.SharedInfoFrame.Address, Word(info, 40));
        Assert.Equal(guest.Result.StoreRing.Value, Word(info, 56));
        Assert.Equal(1UL, Word(info, 64));
        Assert.Equal(guest.Result.ConsoleRing.Value, Word(info, 72));
        Assert.Equal(2UL, Word(info, 80));
        Assert.True(info[128..].StartsWith("console=hvc0\0"u8));

        // The P2M names every page's machine frame, and the M2P leads back.
        ulong list = Word(info, 104);
        for (ulong pfn = 0; pfn < guest.Pages; pfn += 97)
        {
            Assert.True(guest.Vcpu.Guest.TryRead(list + (pfn * 8), out ulong mfn));
            Assert.NotEqual(pfn, mfn);
            Assert.True(guest.Vcpu.Guest.TryRead(AddressSpaceLayout.MachineToPhysicalStart + (mfn * 8), out ulong back));
            Assert.Equal(pfn, back);
        }

        if (Word(info, 1160) is var listFrames and not 0)
        {
            ulong first = Word(info, 1152);
            Assert.Equal(list, guest.Kernel.InitialP2M);
            Assert.Equal(MachineSpace.InitialFrame(first, guest.Pages), guest.FrameAt(list));
            Assert.True(listFrames >= ((guest.Pages * 8) + Page - 1) / Page);
            Assert.True(first + listFrames <= guest.Pages);
        }

        CheckTables(guest, Word(info, 88), Word(info, 96));
        CheckRamdisk(guest, info, ramdisk);

        // The stack, and 512 KiB behind it for the kernel's first steps.
        Assert.True(guest.Vcpu.Guest.TryWrite(guest.Result.StackTop - 8, 1UL));
        for (ulong offset = 0; offset < 512 << 10; offset += Page)
        {
            Assert.True(guest.Vcpu.Guest.TryWrite(guest.Result.StackTop + offset, 1UL));
        }

        // The kernel: its bytes, its hypercall page, and zeroes.
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Kernel.Entry, out ushort code));
        Assert.Equal(0xF490, code);
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Kernel.Entry + Page + (13 * 32), out ulong stub));
        Assert.Equal(0x0000_000D_B853_4151UL, stub);
    }

    private static void CheckTables(BuiltGuest guest, ulong tables, ulong count)
    {
        Assert.Equal(guest.Result.Root.Value, guest.FrameAt(tables));
        for (ulong i = 0; i < count; i++)
        {
            ulong frame = guest.FrameAt(tables + (i * Page));
            Assert.False(guest.Vcpu.Guest.TryTranslate(tables + (i * Page), PageFaultErrors.Write, out _));
            Assert.InRange(guest.Info(frame).Type, FrameType.L1, FrameType.L4);
        }

        Assert.True(guest.Info(guest.Result.Root.Value).Pinned);
    }

    private static void CheckRamdisk(BuiltGuest guest, ReadOnlySpan<byte> info, byte[] ramdisk)
    {
        ulong start = Word(info, 112);
        Assert.Equal((ulong)ramdisk.Length, Word(info, 120));
        bool isUnmapped = guest.Kernel.Notes.ModuleStartIsPfn && ramdisk.Length > 0;
        Assert.Equal(isUnmapped ? 8UL : 0, Word(info, 48));
        for (int offset = 0; offset < ramdisk.Length; offset += 4096)
        {
            byte value = 0;
            Assert.True(isUnmapped
                ? guest.Memory.TryRead((MachineSpace.InitialFrame(start + ((ulong)offset / Page), guest.Pages) << 12), new Span<byte>(ref value))
                : guest.Vcpu.Guest.TryRead(start + (ulong)offset, out value));
            Assert.Equal(7, value);
        }
    }

    private static byte[] StartInfoOf(BuiltGuest guest)
    {
        byte[] info = new byte[1168];
        Assert.True(guest.Vcpu.Guest.TryRead(guest.Result.StartInfo, info));
        return info;
    }

    private static ulong Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);
}
