using Shinano.Cpu;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.Hypervisor.Tests.Traps;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Time;

/// <summary>A domain as the builder makes it, with MMU, event channels, timers and vcpu_op, over a clock that only the test moves.</summary>
public sealed class BuiltDomain : IDisposable
{
    private const ulong Base = 0xFFFF_FFFF_8000_0000;
    private const ulong Pages = 8 * 256;

    /// <param name="isBuilt">False for a domain without memory, to be restored into.</param>
    public BuiltDomain(int vcpus, bool isBuilt = true)
    {
        KernelImage kernel = new()
        {
            Container = KernelContainer.Elf,
            Compression = PayloadCompression.None,
            Notes = new XenElfNotes { Source = XenNotesSource.NoteSegments, VirtualBase = Base },
            Segments = [new KernelSegment(Base + 0x100000, Base + 0x100000, 0x100000, new byte[] { 0x90 }, 0x2000, true, true)],
            VirtualBase = Base,
            ElfPhysicalOffset = 0,
            VirtualStart = Base + 0x100000,
            VirtualEnd = Base + 0x102000,
            Entry = Base + 0x100000,
            Elf = default,
        };
        MachineSpace space = MachineSpace.Create(Pages, vcpus);
        Domain = new Domain(new DomainId(1), Guid.NewGuid(), space.Memory, vcpus);
        Assert.True(space.TryAllocateShared(out Mfn shared));
        Domain.SharedInfoFrame = shared;
        for (int i = 0; i < vcpus; i++)
        {
            PvVcpu vcpu = new(Domain, i, new ScriptedCpu()) { VcpuInfoAddress = shared.Address + ((ulong)i * 64), Online = i == 0 };
            Domain.AddVcpu(vcpu);
            Domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + VcpuInfoLayout.UpcallMask) = 1;
        }

        Mmu = new MmuHypercalls(Domain, space);
        Clock = new DomainClock(() => Ticks, 1_000_000_000);
        MmuGuestFrames frames = new(Domain, Mmu);
        Events = new EventChannels(Domain, frames);
        Timers = new DomainTimers(Domain, Clock, Events, _ => { });
        VmAssists assists = new(Domain, space);
        VcpuHypercalls calls = new(Domain, Mmu, Clock, Timers, () => assists.RunStateUpdates);
        SchedulingHypercalls scheduling = new(Domain, Events, Clock, Timers);
        _ = new EventChannelHypercalls(Domain, Events);
        Grants = new GrantTable(Domain, frames);
        _ = new GrantHypercalls(Domain, Grants, frames);
        _ = new MemoryHypercalls(Domain, Mmu);
        _ = new ConsoleHypercalls(Domain, TimeProvider.System);
        PhysicalDeviceHypercalls physicalDevices = new(Domain, frames);
        Parts = new DomainParts(
            Domain, new CpuidPolicy(CpuFeatures.Xsave | CpuFeatures.Avx, 1_000_000_000), Mmu, assists, Events, Grants, Clock, Timers, calls, scheduling, physicalDevices);
        TrapHypercalls.Register(Domain);
        MultiCall.Register(Domain);
        VersionHypercalls.Register(Domain);
        RefusedHypercalls.Register(Domain);
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            InitialState.Apply(vcpu);
            vcpu.ShowDescriptorTables();
        }

        if (!isBuilt)
        {
            return;
        }

        PvBuildResult built = new PvDomainBuilder(Domain, Mmu).Build(new PvBuildRequest(kernel, default, "", Pages, default, default));
        Assert.Equal(0, Mmu.LoadRoot(Domain.Vcpus[0], built.Root.Value, user: false));
        Root = built.Root;
        Entry = built.Entry;
        StackTop = built.StackTop;
        Buffer = built.StackTop + 0x10000;
    }

    public Domain Domain { get; }

    public DomainParts Parts { get; }

    public MmuHypercalls Mmu { get; }

    public EventChannels Events { get; }

    public GrantTable Grants { get; }

    public DomainClock Clock { get; }

    public DomainTimers Timers { get; }

    public ulong Ticks { get; set; } = 5_000_000;

    /// <summary>Guest-virtual writable memory behind the stack: 64 KiB and more.</summary>
    public ulong Buffer { get; }

    public Mfn Root { get; }

    public ulong Entry { get; }

    public ulong StackTop { get; }

    public long Call(PvVcpu caller, uint command, int vcpu, ulong address = 0)
    {
        HypercallArguments arguments = new(command, (ulong)vcpu, address, 0, 0, 0);
        return Domain.Hypercalls.Call(caller, (ulong)HypercallNumber.VcpuOp, in arguments);
    }

    /// <summary>Machine frame behind a guest-virtual address.</summary>
    public ulong FrameOf(ulong address)
    {
        Assert.True(Domain.Vcpus[0].Guest.TryTranslate(address, X86.PageFaultErrors.None, out ulong physical));
        return physical >> 12;
    }

    public void Write<T>(ulong address, T value)
        where T : unmanaged => Assert.True(Domain.Vcpus[0].Guest.TryWrite(address, value));

    public T Read<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(Domain.Vcpus[0].Guest.TryRead(address, out T value));
        return value;
    }

    public void Dispose()
    {
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            vcpu.Cpu.Dispose();
        }

        Domain.Memory.Dispose();
    }
}
