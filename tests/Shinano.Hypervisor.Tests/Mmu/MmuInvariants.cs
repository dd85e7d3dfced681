using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>Counts every use of every frame anew, from the page tables themselves, and compares with the MMU's books.</summary>
internal static class MmuInvariants
{
    public static void Check(BuiltGuest guest)
    {
        MachineSpace space = guest.Space;
        lock (guest.Mmu.MmuLock)
        {
            guest.Mmu.Types.BeginWork();
            Assert.True(guest.Mmu.Types.Finish());
        }

        int count = (int)(space.EndFrame - MachineSpace.FirstFrame);
        long[] uses = new long[count];
        long[] references = new long[count];
        ulong owned = 0;
        for (int i = 0; i < count; i++)
        {
            ref FrameInfo info = ref space[i];
            owned += info.Owner == FrameOwner.Guest ? 1UL : 0;
            if (info.Pinned)
            {
                Use(i);
            }

            if (info.TypeCount > 0 && info.Type is >= FrameType.L1 and <= FrameType.L4)
            {
                CountEntries(guest, i, (int)info.Type, uses, references);
            }
        }

        foreach (PvVcpu vcpu in guest.Domain.Vcpus)
        {
            foreach (ulong frame in vcpu.GdtFrames.Concat(vcpu.LdtFrames).Append(vcpu.KernelRoot >> 12).Append(vcpu.UserRoot >> 12).Where(f => f != 0))
            {
                Use((int)(frame - MachineSpace.FirstFrame));
            }
        }

        Assert.Equal(owned, space.TotalPages);
        for (int i = 0; i < count; i++)
        {
            ref FrameInfo info = ref space[i];
            string name = $"frame {MachineSpace.FirstFrame + (ulong)i:x} ({info.Owner}, {info.Type})";
            Assert.True(info.TypeCount == uses[i], $"{name}: {info.TypeCount} uses counted, {uses[i]} there");
            Assert.True(info.References == references[i], $"{name}: {info.References} references counted, {references[i]} there");
            Assert.False(info.Dropping, name);
            Assert.False(info.Leaving && info.References == 0, name);
            Assert.Equal(info.Owner != FrameOwner.Nobody, guest.Memory.IsRam(MachineSpace.FirstFrame + (ulong)i));
        }

        void Use(int index)
        {
            uses[index]++;
            references[index]++;
        }
    }

    private static void CountEntries(BuiltGuest guest, int table, int level, long[] uses, long[] references)
    {
        int linear = 0;
        for (int slot = 0; slot < PageTableEntry.Count; slot++)
        {
            if (level == 4 && slot is >= AddressSpaceLayout.FirstXenSlot and <= AddressSpaceLayout.LastXenSlot)
            {
                continue;
            }

            ulong entry = guest.Peek(MachineSpace.FirstFrame + (ulong)table, slot);
            if ((entry & PageTableEntry.Present) == 0)
            {
                continue;
            }

            Assert.True(guest.Space.TryGet(PageTableEntry.Frame(entry), out int target), $"entry {entry:x} leads out of the machine space");
            Assert.NotEqual(0UL, entry & PageTableEntry.User);
            ref FrameInfo info = ref guest.Space[target];
            bool writable = (entry & PageTableEntry.Writable) != 0;
            if (level == 1)
            {
                Assert.True(info.Owner is FrameOwner.Guest or FrameOwner.Shared);
                references[target]++;
                uses[target] += writable ? 1 : 0;
                Assert.True(!writable || info.Type == FrameType.Writable, $"entry {entry:x} maps a {info.Type} frame writable");
                continue;
            }

            Assert.Equal(0UL, entry & PageTableEntry.LargePage);
            if (target == table)
            {
                Assert.False(writable);
                continue;
            }

            uses[target]++;
            references[target]++;
            if (info.Type == (FrameType)level)
            {
                Assert.False(writable);
                linear++;
            }
            else
            {
                Assert.Equal((FrameType)(level - 1), info.Type);
            }
        }

        Assert.True(linear == 0 ? guest.Space[table].LinearCount <= 0 : guest.Space[table].LinearCount == linear);
    }
}
