using CsCheck;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Time;

public sealed unsafe class VcpuHypercallTests : IDisposable
{
    private const uint Initialise = 0;
    private const uint Up = 1;
    private const uint Down = 2;
    private const uint IsUp = 3;
    private const uint GetRunState = 4;
    private const uint RegisterRunState = 5;
    private const uint SetPeriodic = 6;
    private const uint SetSingleShot = 8;
    private const uint RegisterInfo = 10;
    private const uint SendNmi = 11;
    private const uint RegisterTime = 13;

    private readonly BuiltDomain _domain = new(3);

    public void Dispose() => _domain.Dispose();

    private PvVcpu First => _domain.Domain.Vcpus[0];

    private PvVcpu Second => _domain.Domain.Vcpus[1];

    [Fact]
    public void A_vcpu_is_initialised_once_and_then_brought_up_and_down()
    {
        Assert.Equal(-Errno.Invalid, Call(Up, 1));
        Assert.Equal(0, InitialiseSecond());
        Assert.Equal(_domain.Root.Address, Second.KernelRoot);
        Assert.Equal(_domain.Entry + 0x10, Second.State->Rip);
        Assert.Equal(_domain.StackTop - 64, Second.State->Gpr[4]);
        Assert.Equal(0, Call(IsUp, 1));
        Assert.Equal(-Errno.Exists, InitialiseSecond());
        Assert.Equal(0, Call(Up, 1));
        Assert.Equal(1, Call(IsUp, 1));
        Assert.Equal(0, Call(Down, 0));
        Assert.Equal(0, Call(IsUp, 0));
        Assert.Null(_domain.Domain.Shutdown);
        Assert.Equal(0, Call(Down, 1));
        Assert.Equal(ShutdownReason.PowerOff, _domain.Domain.Shutdown);
    }

    [Fact]
    public void A_context_that_is_not_right_leaves_the_vcpu_uninitialised()
    {
        Assert.Equal(-Errno.Fault, Call(Initialise, 1, 0x7777_0000_0000));
        foreach ((int offset, ulong value) in (ReadOnlySpan<(int, ulong)>)[
            (5008, 0x7777_7777_7000), // ctrlreg[3]: no frame of the domain
            (648, 0x8000_0000_0000_0000), // RIP: not canonical
            (4960, 14 * 512 + 1), // more descriptors than a GDT has
            (4824, 9000), // more than an LDT has
            (5112, 1UL << 50)]) // event callback: not canonical
        {
            Assert.True(InitialiseSecond(offset, value) < 0, $"{offset}");
            Assert.Equal(-Errno.Invalid, Call(Up, 1));
        }

        Assert.Equal(0, InitialiseSecond());
    }

    [Fact]
    public void The_info_moves_once_and_every_event_is_selected()
    {
        ulong place = _domain.Buffer;
        ulong frame = _domain.FrameOf(place);
        _domain.Domain.Memory.Shared<byte>(First.VcpuInfoAddress + VcpuInfoLayout.UpcallMask) = 0;
        Assert.Equal(-Errno.NoDeviceOrAddress, Move(0, frame, 4096 - 56));
        Assert.Equal(-Errno.NoDeviceOrAddress, Move(0, frame, 4));
        Assert.Equal(-Errno.Invalid, Move(0, 0x7777_7777, 0));
        Assert.Equal(-Errno.Invalid, Move(0, _domain.Root.Value, 0));
        Assert.Equal(0, Move(0, frame, 128));
        Assert.Equal((frame << 12) + 128, First.VcpuInfoAddress);
        Assert.Equal(1, _domain.Read<byte>(place + 128));
        Assert.Equal(0, _domain.Read<byte>(place + 129));
        Assert.Equal(ulong.MaxValue, _domain.Read<ulong>(place + 136));
        Assert.Equal(-Errno.Invalid, Move(0, frame, 256));

        // The hypervisor's hold: the page cannot become a page table.
        lock (_domain.Mmu.MmuLock)
        {
            Assert.NotEqual(0, _domain.Mmu.Types.Acquire(frame, FrameType.L1));
        }

        Assert.Equal(0, Move(1, frame, 512));
        Second.Online = true;
        Assert.Equal(-Errno.Invalid, Move(1, frame, 1024));
    }

    [Fact]
    public void The_time_record_gives_the_clock_in_every_place()
    {
        _domain.Write(_domain.Buffer, _domain.Buffer + 64);
        Assert.Equal(0, Call(RegisterTime, 0, _domain.Buffer));
        byte[] copy = new byte[32];
        Assert.True(First.Guest.TryRead(_domain.Buffer + 64, copy));
        byte[] original = new byte[32];
        Assert.True(_domain.Domain.Memory.TryRead(First.VcpuInfoAddress + VcpuInfoLayout.Time, original));
        Assert.Equal(original[4..], copy[4..]);
        Assert.Equal(0u, BitConverter.ToUInt32(copy) & 1);
        Assert.Equal(VcpuInfoLayout.TscStable, copy[VcpuInfoLayout.TimeFlags]);
        _domain.Ticks += 123_456_789;
        Assert.Equal(_domain.Clock.Now, TimeRecordTests.TimeOf(copy, _domain.Ticks));
    }

    [Fact]
    public void Run_state_times_add_up_and_the_guests_copy_follows()
    {
        ulong made = _domain.Clock.Now;
        ulong area = _domain.Buffer + 0x100;
        _domain.Write(_domain.Buffer, area);
        Assert.Equal(0, Call(RegisterRunState, 0, _domain.Buffer));
        Change(First, RunState.Running, 100);
        Change(First, RunState.Blocked, 1000);
        Change(First, RunState.Running, 10);
        Assert.Equal(0, _domain.Read<int>(area));
        Assert.Equal(_domain.Clock.Now, _domain.Read<ulong>(area + 8));
        _domain.Ticks += 7;
        Assert.Equal(0, Call(GetRunState, 0, _domain.Buffer + 0x200));
        ulong[] times = [.. Enumerable.Range(0, 4).Select(i => _domain.Read<ulong>(_domain.Buffer + 0x210 + ((ulong)i * 8)))];
        Assert.Equal([1007UL, 0, 10, 100], times);
        Assert.Equal(_domain.Clock.Now - made, times.Aggregate(0UL, (a, b) => a + b));
    }

    [Fact]
    public void Areas_in_xens_own_space_are_refused()
    {
        foreach (ulong bad in (ulong[])[AddressSpaceLayout.MachineToPhysicalStart, AddressSpaceLayout.HypervisorEnd - 8, 1UL << 48])
        {
            _domain.Write(_domain.Buffer, bad);
            Assert.Equal(-Errno.Fault, Call(RegisterRunState, 0, _domain.Buffer));
            Assert.Equal(-Errno.Fault, Call(RegisterTime, 0, _domain.Buffer));
        }

        // A place that is not mapped is the guest's own loss.
        _domain.Write(_domain.Buffer, 0x7777_0000_0000UL);
        Assert.Equal(0, Call(RegisterRunState, 0, _domain.Buffer));
        Change(First, RunState.Running, 1);
    }

    [Fact]
    public void Timers_take_sane_values_of_their_own_vcpu()
    {
        _domain.Write(_domain.Buffer, 999_999UL);
        Assert.Equal(-Errno.Invalid, Call(SetPeriodic, 0, _domain.Buffer));
        _domain.Write(_domain.Buffer, ulong.MaxValue);
        Assert.Equal(-Errno.Invalid, Call(SetPeriodic, 0, _domain.Buffer));
        _domain.Write(_domain.Buffer, 1_000_000UL);
        Assert.Equal(0, Call(SetPeriodic, 1, _domain.Buffer));
        Assert.Equal(-Errno.Invalid, Call(SetSingleShot, 1, _domain.Buffer));
        _domain.Ticks += 1000;
        _domain.Write(_domain.Buffer, 1UL);
        _domain.Write(_domain.Buffer + 8, 1u);
        Assert.Equal(-Errno.Time, Call(SetSingleShot, 0, _domain.Buffer));
        _domain.Write(_domain.Buffer + 8, 0u);
        Assert.Equal(0, Call(SetSingleShot, 0, _domain.Buffer));
    }

    [Fact]
    public void An_nmi_is_pending_until_it_is_taken()
    {
        Assert.Equal(-Errno.Invalid, Call(SendNmi, 1, 8));
        Assert.Equal(0, Call(SendNmi, 1));
        Assert.True(Second.Traps.NmiPending);
    }

    [Fact]
    public void No_request_throws() =>
        Gen.Select(Gen.UInt[0, 15], Gen.Int[0, 4], Gen.ULong.Array[6], Gen.Int[0, 2]).Array[1, 30].Sample(
            steps =>
            {
                using BuiltDomain domain = new(2);
                foreach ((uint command, int vcpu, ulong[] words, int place) in steps)
                {
                    for (int i = 0; i < words.Length; i++)
                    {
                        domain.Write(domain.Buffer + ((ulong)i * 8), words[i]);
                    }

                    ulong address = place switch { 0 => 0, 1 => domain.Buffer, _ => words[0] };
                    Assert.InRange(domain.Call(domain.Domain.Vcpus[0], command, vcpu, address), -200, 1);
                }
            },
            iter: 25,
            threads: 1);

    private long Call(uint command, int vcpu, ulong address = 0) => _domain.Call(First, command, vcpu, address);

    private void Change(PvVcpu vcpu, RunState state, ulong after)
    {
        _domain.Ticks += after;
        vcpu.Scheduling.StateChanged!(vcpu, state);
    }

    private long Move(int vcpu, ulong frame, uint offset)
    {
        _domain.Write(_domain.Buffer + 0x800, frame);
        _domain.Write(_domain.Buffer + 0x808, offset);
        return Call(RegisterInfo, vcpu, _domain.Buffer + 0x800);
    }

    /// <summary>Initialises vCPU 1 with a context like a kernel's, one word of it changed when asked to.</summary>
    private long InitialiseSecond(int changedOffset = -1, ulong changedValue = 0)
    {
        byte[] context = new byte[VcpuContext.Size];
        void Put(int offset, ulong value) => BitConverter.TryWriteBytes(context.AsSpan(offset), value);
        Put(512, 1 << 2); // VGCF_in_kernel
        Put(648, _domain.Entry + 0x10);
        Put(656, 0xE033);
        Put(672, _domain.StackTop - 64);
        Put(680, 0xE02B);
        Put(4984 + 24, _domain.Root.Address);
        if (changedOffset >= 0)
        {
            Put(changedOffset, changedValue);
        }

        ulong place = _domain.Buffer + 0x2000;
        Assert.True(First.Guest.TryWrite(place, context));
        return Call(Initialise, 1, place);
    }
}
