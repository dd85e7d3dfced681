using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Hypervisor;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;
using Shinano.Linux;
using Shinano.Machine.CoreDump;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Machine;

/// <summary>An assembled PV domain: hypervisor, engine, vCPUs and the guest's initial memory. Built paused.</summary>
internal sealed class PvMachine : IDisposable
{
    private readonly ICpuEngine _engine;
    private readonly MmuHypercalls _mmu;
    private readonly EventChannels _events;
    private AlarmClock? _alarm;
    private SchedulingHypercalls? _scheduling;
    private Timer? _watchdogs;
    private bool _disposed;

    private PvMachine(Domain domain, ICpuEngine engine, MmuHypercalls mmu, CpuFeatures features)
    {
        Domain = domain;
        _engine = engine;
        _mmu = mmu;
        _events = new EventChannels(domain);
        Cpuid = new CpuidPolicy(features, domain.MaximumVcpus, TimeStampCounter.Frequency);
        Runner = new DomainRunner(domain, Cpuid);
    }

    public Domain Domain { get; }

    public DomainRunner Runner { get; }

    public CpuidPolicy Cpuid { get; }

    public string EngineName => _engine.Name;

    /// <summary>Memory the domain holds now, bytes.</summary>
    public long MemoryBytes => (long)_mmu.Space.TotalPages << GuestMemory.PageShift;

    /// <summary>What xend is told of the build.</summary>
    public DomainBuildResult Result { get; private set; } = null!;

    /// <summary>Assembles a domain and loads its kernel.</summary>
    /// <param name="progress">Told of each stage: a short name and a line for people.</param>
    /// <exception cref="DomainFailureException">The kernel, the ramdisk, the memory or the engine cannot be had as asked.</exception>
    public static PvMachine Build(MachineSettings settings, Action<string, string> progress)
    {
        CpuFeatures features = EngineChoice.FeaturesOf(settings.CpuEngine);
        KernelImage kernel = GuestFiles.ReadKernel(settings.KernelPath);
        progress("kernel", $"{settings.KernelPath}: {GuestFiles.Describe(kernel)}");
        ReadOnlyMemory<byte> ramdisk = settings.RamdiskPath is { } path ? GuestFiles.ReadRamdisk(path, settings.MemoryBytes) : default;
        if (settings.RamdiskPath is not null)
        {
            progress("ramdisk", $"{settings.RamdiskPath}: {ramdisk.Length >> 10} KiB");
        }

        HostMemory.Check(settings.MaxMemoryBytes);
        MachineSpace space = MachineSpace.Create((ulong)settings.MaxMemoryBytes >> GuestMemory.PageShift, settings.MaxVcpus);
        progress("memory", $"{settings.MemoryBytes >> 20} MiB, at most {settings.MaxMemoryBytes >> 20} MiB");
        PvMachine? machine = null;
        ICpuEngine? engine = null;
        try
        {
            Domain domain = new(new DomainId((ushort)settings.DomainId), settings.Uuid, space.Memory, settings.MaxVcpus);
            if (!space.TryAllocateShared(out Mfn sharedInfo))
            {
                throw new InvalidOperationException("no shared frame in a new machine space");
            }

            domain.SharedInfoFrame = sharedInfo;
            engine = EngineChoice.Create(settings.CpuEngine, space.Memory, features);
            for (int i = 0; i < settings.MaxVcpus; i++)
            {
                domain.AddVcpu(NewVcpu(domain, i, engine.CreateVirtualCpu()));
            }

            MmuHypercalls mmu = new(domain, space);
            machine = new PvMachine(domain, engine, mmu, features);
            machine.Load(kernel, ramdisk, settings, progress);
            return machine;
        }
        catch
        {
            if (machine is not null)
            {
                machine.Dispose();
            }
            else
            {
                engine?.Dispose();
                space.Memory.Dispose();
            }

            throw;
        }
    }

    /// <summary>Changes the ceiling for the balloon; false when it is more than the domain was built for.</summary>
    public bool TrySetMaximumMemory(long bytes)
    {
        ulong pages = (ulong)bytes >> GuestMemory.PageShift;
        lock (_mmu.MmuLock)
        {
            if (pages > _mmu.Space.BuiltMaximum)
            {
                return false;
            }

            _mmu.Space.MaximumPages = pages;
            return true;
        }
    }

    /// <summary>Writes the domain's core; the domain is paused.</summary>
    public void WriteCore(Stream output)
    {
        List<(ulong Pfn, ulong Mfn)> pages = [];
        for (ulong frame = MachineSpace.FirstFrame; frame < _mmu.Space.EndFrame; frame++)
        {
            if (_mmu.Space.TryGet(frame, out int index) && _mmu.Space[index].Owner == FrameOwner.Guest)
            {
                ulong pfn = _mmu.Space.GetM2P(frame);
                if (pfn != ulong.MaxValue)
                {
                    pages.Add((pfn, frame));
                }
            }
        }

        List<byte[]> contexts = [];
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            byte[] context = new byte[VcpuContext.Size];
            VcpuContext.Save(vcpu, vcpu.GdtFrames, (ulong)vcpu.GdtFrames.Length * 512, context);
            contexts.Add(context);
        }

        XenCoreWriter.Write(output, Domain.Memory, Domain.SharedInfoFrame.Value, contexts, pages);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        Runner.Dispose();
        _watchdogs?.Dispose();
        _alarm?.Dispose();
        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            vcpu.Cpu.Dispose();
        }

        _engine.Dispose();
        Domain.Memory.Dispose();
    }

    private bool TryAllocateShared(out Mfn frame)
    {
        lock (_mmu.MmuLock)
        {
            return _mmu.Space.TryAllocateShared(out frame);
        }
    }

    private static PvVcpu NewVcpu(Domain domain, int id, VirtualCpu cpu)
    {
        PvVcpu vcpu = new(domain, id, cpu)
        {
            VcpuInfoAddress = domain.SharedInfoFrame.Address + ((ulong)id * VcpuInfoSize),
            Online = id == 0,
        };
        domain.Memory.Shared<byte>(vcpu.VcpuInfoAddress + UpcallMaskOffset) = 1;
        InitialState.Apply(vcpu);
        vcpu.ShowDescriptorTables();
        return vcpu;
    }

    private void Load(KernelImage kernel, ReadOnlyMemory<byte> ramdisk, MachineSettings settings, Action<string, string> progress)
    {
        _ = new MemoryHypercalls(Domain, _mmu);
        VmAssists assists = new(Domain, _mmu.Space);
        TrapHypercalls.Register(Domain);
        MultiCall.Register(Domain);
        VersionHypercalls.Register(Domain);
        PhysicalDeviceHypercalls.Register(Domain);
        RefusedHypercalls.Register(Domain);
        _ = new ConsoleHypercalls(Domain, TimeProvider.System);
        _ = new EventChannelHypercalls(Domain, _events);
        GrantTable grants = new(Domain, TryAllocateShared);
        DomainClock clock = new(TimeStampCounter.Read, TimeStampCounter.Frequency);
        clock.WriteWallClock(Domain.Memory, Domain.SharedInfoFrame.Address, DateTimeOffset.UtcNow);
        DomainTimers timers = new(Domain, clock, _events, nanoseconds => _alarm?.Set(nanoseconds));
        _alarm = new AlarmClock($"{Domain.Id} timers", timers.Expire);
        _ = new VcpuHypercalls(Domain, _mmu, clock, timers, () => assists.RunStateUpdates);
        _scheduling = new SchedulingHypercalls(Domain, _events, clock, timers);
        _watchdogs = new Timer(_ => _scheduling.CheckWatchdogs(), null, WatchdogInterval, WatchdogInterval);
        Domain.PageFaultFilter = new PageTableWriteEmulator(_mmu).TryEmulate;
        Domain.LoadRoot = (vcpu, frame) => _mmu.LoadRoot(vcpu, frame.Value, user: false) == 0;
        PvBuildResult built;
        try
        {
            built = new PvDomainBuilder(Domain, _mmu).Build(new PvBuildRequest(
                kernel, ramdisk, settings.CommandLine, (ulong)settings.MemoryBytes >> GuestMemory.PageShift, default, default));
        }
        catch (DomainMemoryException e)
        {
            throw new DomainFailureException(DomainFailureCode.MemoryTooSmall, e.Message, e);
        }

        if (!grants.TrySeed(ConsoleGrant, built.ConsoleRing) || !grants.TrySeed(StoreGrant, built.StoreRing))
        {
            throw new InvalidOperationException("no frame for the grant table");
        }

        progress("page-tables", $"entry {built.Entry:x}, root mfn {built.Root.Value:x}");
        PvVcpu first = Domain.Vcpus[0];
        int error = _mmu.LoadRoot(first, built.Root.Value, user: false);
        if (error != 0)
        {
            throw new InvalidOperationException($"the initial root was refused with {error}");
        }

        InitialState.Enter(first, built.Entry, built.StackTop, built.StartInfo);
        Result = new DomainBuildResult
        {
            StoreRingFrame = built.StoreRing.Value,
            StoreEventPort = 0,
            ConsoleRingFrame = built.ConsoleRing.Value,
            ConsoleEventPort = 0,
            TotalPages = (long)_mmu.Space.TotalPages,
            KernelDescription = GuestFiles.Describe(kernel),
        };
    }

    private static readonly TimeSpan WatchdogInterval = TimeSpan.FromSeconds(1);

    // public/grant_table.h: GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE.
    private static readonly GrantRef ConsoleGrant = new(0);
    private static readonly GrantRef StoreGrant = new(1);

    private const ulong VcpuInfoSize = 64;
    private const ulong UpcallMaskOffset = 1;
}
