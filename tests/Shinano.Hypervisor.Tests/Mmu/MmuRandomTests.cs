using System.Runtime.InteropServices;
using CsCheck;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>Random sequences of what guests do to their page tables; after each step the books are compared with the tables.</summary>
public sealed class MmuRandomTests
{
    private const int PoolSize = 12;
    private const int Kinds = 14;

    private static readonly ulong[] Flags =
    [
        0,
        PageTableEntry.Present,
        PageTableEntry.Present | PageTableEntry.User,
        PageTableEntry.Present | PageTableEntry.Writable,
        PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User,
        PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | PageTableEntry.Dirty | PageTableEntry.NoExecute,
        PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.LargePage,
        PageTableEntry.Present | PageTableEntry.Global,
    ];

    private static readonly Gen<(int Kind, int A, int B, int C, int D)> Step =
        Gen.Select(Gen.Int[0, Kinds - 1], Gen.Int[0, 63], Gen.Int[0, 63], Gen.Int[0, 63], Gen.Int[0, 63]);

    [Fact]
    public void The_books_agree_with_the_tables_after_every_step() =>
        Step.Array[1, 60].Sample(
            steps =>
            {
                using BuiltGuest guest = new(pages: 1200, maximum: 1300);
                List<ulong> pool = [.. Enumerable.Range(0, PoolSize).Select(guest.FreeFrame)];
                foreach ((int Kind, int A, int B, int C, int D) step in steps)
                {
                    Apply(guest, pool, step);
                    MmuInvariants.Check(guest);
                }
            },
            iter: 100,
            threads: 1);

    [Fact]
    public void Arguments_of_any_kind_do_no_harm() =>
        Gen.Select(Gen.Int[0, 5], Gen.ULong, Gen.ULong, Gen.ULong, Gen.ULong, Gen.Int[0, 40], Gen.Int[0, 3]).Array[1, 40].Sample(
            calls =>
            {
                using BuiltGuest guest = new(pages: 1200);
                foreach ((int number, ulong a, ulong b, ulong c, ulong d, int command, int pointers) in calls)
                {
                    Hostile(guest, number, a, b, c, d, command, pointers);
                }

                MmuInvariants.Check(guest);
            },
            iter: 60,
            threads: 1);

    [Fact]
    public void Vcpus_that_work_on_the_same_tables_at_once_keep_the_books_in_order()
    {
        const int Vcpus = 3;
        using BuiltGuest guest = new(pages: 1200, vcpus: Vcpus);
        foreach (PvVcpu vcpu in guest.Domain.Vcpus.Skip(1))
        {
            Assert.Equal(0, guest.Mmu.LoadRoot(vcpu, guest.Result.Root.Value, user: false));
        }

        ulong[] pool = [.. Enumerable.Range(0, PoolSize).Select(guest.FreeFrame)];
        Parallel.For(0, Vcpus, new ParallelOptions { MaxDegreeOfParallelism = Vcpus }, id =>
        {
            PvVcpu vcpu = guest.Domain.Vcpus[id];
            ulong arguments = guest.Arguments + ((ulong)id * 0x1000);
            Random random = new(id);
            for (int i = 0; i < 4000; i++)
            {
                ulong frame = pool[random.Next(pool.Length)];
                ulong entry = (pool[random.Next(pool.Length)] << 12) | Flags[random.Next(Flags.Length)];
                switch (random.Next(4))
                {
                    case 0:
                        Request(HypercallNumber.MmuExtOp, (ulong)random.Next(5), frame);
                        break;
                    case 1:
                        Request(HypercallNumber.MmuExtOp, (ulong)MmuExtendedCommand.NewUserBasePointer, random.Next(2) == 0 ? 0 : frame);
                        break;
                    case 2:
                        guest.Call(vcpu, HypercallNumber.UpdateVaMapping, guest.MappedPage(random.Next(20)), entry, (ulong)random.Next(7));
                        break;
                    default:
                        Request(HypercallNumber.MmuUpdate, (frame << 12) + ((ulong)random.Next(8) * 8), entry);
                        break;
                }
            }

            void Request(HypercallNumber number, ulong first, ulong second)
            {
                ReadOnlySpan<ulong> words = [first, second, 0];
                Assert.True(vcpu.Guest.TryWrite(arguments, MemoryMarshal.AsBytes(words)));
                guest.Call(vcpu, number, arguments, 1, 0, DomainId.Self.Value);
            }
        });
        MmuInvariants.Check(guest);
    }

    private static void Hostile(BuiltGuest guest, int number, ulong a, ulong b, ulong c, ulong d, int command, int pointers)
    {
        // Half of the time the structure is readable and only its content is garbage.
        ulong frame = (a & 1) == 0 ? MachineSpace.FirstFrame + (a % 1500) : a;
        ulong where = (pointers & 1) == 0 ? guest.Arguments : b;
        switch (number)
        {
            case 0:
                guest.Put((frame << 12) | (c & 0xFFF), d);
                guest.Call(HypercallNumber.MmuUpdate, where, c & 0x8000_0003, (pointers & 2) == 0 ? 0 : d, DomainId.Self.Value);
                break;
            case 1:
                // Not MMUEXT_NEW_BASEPTR with a table that lacks the arguments' pages: the guest would be lost, as on Xen.
                guest.Put((ulong)(command == 5 ? 4 : command), frame, c);
                guest.Call(HypercallNumber.MmuExtOp, guest.Arguments, 1, (pointers & 2) == 0 ? 0 : d, (pointers & 1) == 0 ? DomainId.Self.Value : c);
                break;
            case 2:
                ulong address = a ^ guest.Arguments;
                if (address >> 16 != guest.Arguments >> 16)
                {
                    guest.Call(HypercallNumber.UpdateVaMapping, address, b, (pointers & 1) == 0 ? c & 7 : c);
                }

                break;
            case 3:
                guest.Put(a, b & 0xFFF, c & 0xF, DomainId.Self.Value, d, b & 0xFFF, c & 0xF, DomainId.Self.Value, c & 1);
                guest.Call(HypercallNumber.MemoryOp, (ulong)command, where);
                break;
            case 4:
                guest.Put(frame, c, d);
                guest.Call(HypercallNumber.SetGdt, where, (pointers & 2) == 0 ? c & 0x1FFF : c);
                break;
            default:
                guest.Call(HypercallNumber.UpdateDescriptor, (frame << 12) | (c & 0xFF8), d);
                guest.Call(HypercallNumber.VmAssist, a & 3, b & 63);
                break;
        }
    }

    private static void Apply(BuiltGuest guest, List<ulong> pool, (int Kind, int A, int B, int C, int D) step)
    {
        // Mostly frames that suit each other: number 0 to 3 of each four is a table of level 1 to 4.
        int number = step.A % pool.Count;
        int level = (number % 4) + 1;
        bool suits = step.D >= 12;
        ulong frame = pool[number];
        ulong target = pool[suits && level > 1 ? (step.B % (pool.Count / 4) * 4) + level - 2 : step.B % pool.Count];
        ulong entry = (step.C % 9 == 8 ? guest.Space.FirstM2PFrame : target) << 12 | Flags[step.D % Flags.Length];
        int slot = step.C % 4 == 3 ? 510 : step.C % 4;
        ulong address = guest.MappedPage(step.B % 20);
        switch (step.Kind)
        {
            case 0 or 1 or 2:
                // What a writable mapping would do.
                if (guest.Space.IsGuests(frame) && guest.Info(frame) is { Type: FrameType.None or FrameType.Writable, TypeCount: 0, Dropping: false })
                {
                    guest.Poke(frame, slot, entry);
                }

                break;
            case 3 or 4:
                guest.Extended(MmuExtendedCommand.PinL1Table + (suits ? (uint)level - 1 : (uint)(step.B % 4)), frame);
                break;
            case 5:
                guest.Extended(MmuExtendedCommand.UnpinTable, step.C % 3 == 0 ? frame : guest.Result.Root.Value + 1);
                break;
            case 6 or 7:
                guest.MmuUpdate(((frame << 12) + ((ulong)slot * 8)) | (step.A % 3 == 0 ? 2UL : 0), entry);
                break;
            case 8:
                guest.Extended(MmuExtendedCommand.NewUserBasePointer, step.C % 3 == 0 ? 0 : frame);
                break;
            case 9:
                guest.UpdateVa(address, (frame << 12) | Flags[step.D % Flags.Length], (ulong)(step.C % 3));
                break;
            case 10:
                guest.Reserve(MemoryOperation.DecreaseReservation, [frame]);
                break;
            case 11:
                Span<ulong> extents = [step.A % 2 == 0 ? 5000UL : frame];
                if (step.A % 2 == 0 && guest.Reserve(MemoryOperation.PopulatePhysmap, extents) == 1)
                {
                    pool[step.B % pool.Count] = extents[0];
                }

                break;
            case 12:
                guest.Extended(step.B % 2 == 0 ? MmuExtendedCommand.ClearPage : MmuExtendedCommand.CopyPage, frame, target);
                break;
            default:
                guest.Put(frame, target);
                guest.Call(HypercallNumber.SetGdt, guest.Arguments, (ulong)(step.C % 3) * 512);
                break;
        }
    }
}
