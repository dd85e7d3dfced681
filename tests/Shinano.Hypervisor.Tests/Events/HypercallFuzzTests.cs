using CsCheck;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Tests.Time;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

/// <summary>Every hypercall of a domain against arguments and structures without sense: an error or a crash of the guest, never one of ours.</summary>
public sealed unsafe class HypercallFuzzTests
{
    /// <summary>Iret and what ends the domain by intent are left out: they would end each run at once.</summary>
    private static readonly HypercallNumber[] Numbers =
    [
        HypercallNumber.SetTrapTable, HypercallNumber.MmuUpdate, HypercallNumber.SetGdt, HypercallNumber.StackSwitch, HypercallNumber.SetCallbacks,
        HypercallNumber.FpuTaskSwitch, HypercallNumber.PlatformOp, HypercallNumber.SetDebugReg, HypercallNumber.GetDebugReg,
        HypercallNumber.UpdateDescriptor, HypercallNumber.MemoryOp, HypercallNumber.MultiCall, HypercallNumber.UpdateVaMapping, HypercallNumber.SetTimerOp,
        HypercallNumber.EventChannelOpCompat, HypercallNumber.XenVersion, HypercallNumber.ConsoleIo, HypercallNumber.PhysdevOpCompat,
        HypercallNumber.GrantTableOp, HypercallNumber.VmAssist, HypercallNumber.UpdateVaMappingOtherDomain, HypercallNumber.VcpuOp,
        HypercallNumber.SetSegmentBase, HypercallNumber.MmuExtOp, HypercallNumber.NmiOp, HypercallNumber.SchedOp, HypercallNumber.CallbackOp,
        HypercallNumber.EventChannelOp, HypercallNumber.PhysdevOp, HypercallNumber.HvmOp, HypercallNumber.XenPmuOp, (HypercallNumber)50,
    ];

    private static readonly ulong[] Odd = [0x7FF0, 1, ulong.MaxValue, 1UL << 63, 0xFFFF_8000_0000_0000, 0x7777_0000];

    private static readonly Gen<ulong> Word = Gen.Frequency(
        (4, Gen.ULong[0, 20]),
        (2, Gen.ULong),
        (2, Gen.Int[0, Odd.Length - 1].Select(i => Odd[i])),
        (2, Gen.ULong[0, 8 * 256].Select(page => (0x100000 + page) << 12)),
        (2, Gen.ULong[0, 8 * 256].Select(page => 0x100000 + page)));

    [Fact]
    public void No_hypercall_throws_or_goes_on_for_ever() =>
        Gen.Select(Gen.Int[0, Numbers.Length - 1], Word.Array[6], Word.Array[16], Gen.Int[0, 63]).Array[1, 60].Sample(
            calls =>
            {
                using BuiltDomain domain = new(2);
                PvVcpu vcpu = domain.Domain.Vcpus[0];
                foreach ((int which, ulong[] arguments, ulong[] structure, int pointers) in calls)
                {
                    for (int i = 0; i < structure.Length; i++)
                    {
                        // Pointers inside of structures, too; the guest may have unmapped its buffer.
                        ulong word = i % 4 == 0 && (pointers & 32) != 0 ? domain.Buffer + 256 : structure[i];
                        _ = vcpu.Guest.TryWrite(domain.Buffer + ((ulong)i * 8), word);
                    }

                    for (int i = 0; i < arguments.Length; i++)
                    {
                        vcpu.State->Gpr[Registers[i]] = (pointers >> i & 1) != 0 && i < 5 ? domain.Buffer : arguments[i];
                    }

                    Serve(domain, vcpu, Numbers[which]);
                    if (domain.Domain.Shutdown is not null || vcpu.KernelRoot == 0)
                    {
                        return;
                    }

                    // A poll or block leaves a condition, for which nobody waits here.
                    domain.Ticks += 1000;
                    domain.Timers.Expire();
                }
            },
            iter: 100,
            threads: 1);

    private static ReadOnlySpan<byte> Registers => [7, 6, 2, 10, 8, 9];

    private static void Serve(BuiltDomain domain, PvVcpu vcpu, HypercallNumber number)
    {
        // Restarts go on from the registers, as in the run loop. A count without sense may ask for much, in steps: a few hundred of them show enough.
        for (int i = 0; i < 300; i++)
        {
            HypercallArguments arguments = new(
                vcpu.State->Gpr[7], vcpu.State->Gpr[6], vcpu.State->Gpr[2], vcpu.State->Gpr[10], vcpu.State->Gpr[8], vcpu.State->Gpr[9]);
            if (domain.Domain.Hypercalls.Call(vcpu, (ulong)number, in arguments) != HypercallTable.Restart)
            {
                return;
            }
        }
    }
}
