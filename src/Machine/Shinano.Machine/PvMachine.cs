using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Devices.Paravirtual;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Devices.Paravirtual.XenStore;
using Shinano.Hypervisor;
using Shinano.Hypervisor.Building;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Hypervisor.Images;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.Hypervisor.Scheduling;
using Shinano.Hypervisor.Time;
using Shinano.Hypervisor.Traps;
using Shinano.Linux;
using Shinano.Machine.CoreDump;
using Shinano.Machine.Devices;
using Shinano.Machine.Forking;
using Shinano.Machine.Saving;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine;

/// <summary>An assembled PV domain: hypervisor, engine, vCPUs and the guest's initial memory. Built paused.</summary>
internal sealed class PvMachine : IAsyncDisposable
{
    private readonly ICpuEngine _engine;
    private readonly MmuHypercalls _mmu;
    private readonly MmuGuestFrames _frames;
    private readonly EventChannels _events;
    private DomainParts? _parts;
    private XenStoreRingState? _storeState;
    private AlarmClock? _alarm;
    private HostEventPort? _consolePort;
    private HostEventPort? _storePort;
    private ConsoleBackEnd? _console;
    private ConsoleServer? _consoleServer;
    private XenStoreRingPump? _store;
    private GrantTable? _grants;
    private RelayStore? _backEndStore;
    private BackEndRegistry? _devices;
    private int _disposed;

    private PvMachine(Domain domain, ICpuEngine engine, MmuHypercalls mmu, CpuFeatures features)
    {
        Domain = domain;
        _engine = engine;
        _mmu = mmu;
        _frames = new MmuGuestFrames(domain, mmu);
        _events = new EventChannels(domain, _frames);
        Features = features;
        Cpuid = new CpuidPolicy(features, TimeStampCounter.Frequency);
        Runner = new DomainRunner(domain, Cpuid);
        Limiter = new CpuLimiter(Runner);
    }

    public Domain Domain { get; }

    public DomainRunner Runner { get; }

    /// <summary>What the vCPUs may use of the host's CPUs.</summary>
    public CpuLimiter Limiter { get; }

    public CpuidPolicy Cpuid { get; }

    public string EngineName => _engine.Name;

    /// <summary>What the engine counted; see <see cref="ICpuEngine.ReadCounters"/>. Any thread.</summary>
    public IReadOnlyList<CpuCounter> EngineCounters => _engine.ReadCounters();

    /// <summary>Memory the domain holds now, bytes.</summary>
    public long MemoryBytes => (long)_mmu.Space.TotalPages << GuestMemory.PageShift;

    /// <summary>The console's back end; null before <see cref="OpenConsole"/>.</summary>
    public ConsoleBackEnd? Console => _console;

    /// <summary>The paravirtual devices; null before <see cref="OpenDevices"/>.</summary>
    public BackEndRegistry? Devices => _devices;

    /// <summary>The machine's frames; before <see cref="Connect"/>, too.</summary>
    internal MachineSpace Space => _mmu.Space;

    /// <summary>What xend is told of the build.</summary>
    public DomainBuildResult Result { get; private set; } = null!;

    /// <summary>The subsystems that a saved domain has a state of.</summary>
    public DomainParts Parts => _parts ?? throw new InvalidOperationException("the machine is not assembled");

    /// <summary>What CPUID promised the guest.</summary>
    public CpuFeatures Features { get; }

    /// <summary>Reads the guest's TSC, ticks.</summary>
    public ulong GuestTsc => TimeStampCounter.Read() + TscOffset;

    /// <summary>What is added to the host's TSC for the guest.</summary>
    public ulong TscOffset { get; private set; }

    /// <summary>Assembles a domain and loads its kernel.</summary>
    /// <param name="progress">Told of each stage: a short name and a line for people.</param>
    /// <exception cref="DomainFailureException">The kernel, the ramdisk, the memory or the engine cannot be had as asked.</exception>
    public static async Task<PvMachine> BuildAsync(MachineSettings settings, Action<string, string> progress)
    {
        if (settings.Fork is { } offer)
        {
            return await ForkReceiver.RestoreAsync(offer, settings, progress).ConfigureAwait(false);
        }

        PvMachine machine = await AssembleAsync(settings, progress).ConfigureAwait(false);
        HostCpuLimits.Apply(machine, settings);
        // The kernel's file and its unpacked image are twice what the domain process holds later; the runtime would keep their pages.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return machine;
    }

    private static async Task<PvMachine> AssembleAsync(MachineSettings settings, Action<string, string> progress)
    {
        if (settings.Receiver is { } receiver)
        {
            return await receiver.ReceiveAsync(settings, progress).ConfigureAwait(false);
        }

        if (settings.RestorePath is { } saved)
        {
            return await MachineRestorer.RestoreAsync(saved, settings, progress).ConfigureAwait(false);
        }

        CpuFeatures features = EngineChoice.FeaturesOf(settings.CpuEngine);
        KernelImage kernel = GuestFiles.ReadKernel(settings.KernelPath);
        progress("kernel", $"{settings.KernelPath}: {GuestFiles.Describe(kernel)}");
        ReadOnlyMemory<byte> ramdisk = settings.RamdiskPath is { } path ? GuestFiles.ReadRamdisk(path, settings.MemoryBytes) : default;
        if (settings.RamdiskPath is not null)
        {
            progress("ramdisk", $"{settings.RamdiskPath}: {ramdisk.Length >> 10} KiB");
        }

        PvMachine machine = Create(settings, features, progress);
        try
        {
            machine.Load(kernel, ramdisk, settings, progress);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Memory, engine and vCPUs of a domain in which nothing is yet.</summary>
    internal static PvMachine Create(MachineSettings settings, CpuFeatures features, Action<string, string> progress)
    {
        HostMemory.Check(settings.MaxMemoryBytes);
        MachineSpace space = MachineSpace.Create((ulong)settings.MaxMemoryBytes >> GuestMemory.PageShift, settings.MaxVcpus);
        progress("memory", $"{settings.MemoryBytes >> 20} MiB, at most {settings.MaxMemoryBytes >> 20} MiB");
        ICpuEngine? engine = null;
        try
        {
            Domain domain = new(new DomainId((ushort)settings.DomainId), settings.Uuid, space.Memory, settings.MaxVcpus);
            if (!space.TryAllocateShared(out Mfn sharedInfo))
            {
                throw new InvalidOperationException("no shared frame in a new machine space");
            }

            domain.SharedInfoFrame = sharedInfo;
            engine = settings.Engine?.Invoke(space.Memory, features)
                ?? EngineChoice.Create(settings.CpuEngine, space.Memory, features, settings.CodeCacheBytes);
            for (int i = 0; i < settings.MaxVcpus; i++)
            {
                domain.AddVcpu(NewVcpu(domain, i, engine.CreateVirtualCpu()));
            }

            return new PvMachine(domain, engine, new MmuHypercalls(domain, space), features);
        }
        catch
        {
            engine?.Dispose();
            space.Memory.Dispose();
            throw;
        }
    }

    /// <summary>Lets go of the guest, paused first, so that its memory and everything about it keeps still. Undone by <see cref="Resume"/>, also after a failure.</summary>
    public async Task SuspendAsync(CancellationToken cancellation)
    {
        Runner.Pause();
        if (_devices is not null)
        {
            await _devices.SuspendAsync(cancellation).ConfigureAwait(false);
        }

        if (_store is not null)
        {
            _storeState = await _store.HoldAsync(cancellation).ConfigureAwait(false);
        }

        _console?.Hold(held: true);
        Parts.Timers.Hold(held: true);
    }

    /// <summary>Takes everything up again after <see cref="SuspendAsync"/>; the domain stays paused.</summary>
    public void Resume()
    {
        Parts.Timers.Hold(held: false);
        _console?.Hold(held: false);
        _store?.Release();
        _devices?.Resume();
    }

    /// <summary>What there is of the xenstore ring beside its page; null before the ring was ever connected. Of a suspended or a restored machine.</summary>
    public XenStoreRingState? StoreState => _storeState;

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

    /// <summary>Compares the MMU's books with the page tables; the domain is paused or stopped.</summary>
    public string AuditMemory() => MmuAudit.Find(_mmu, out long holds) ?? $"in order, {holds} frames held by the hypervisor";

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

    /// <summary>Starts the console's back end. Once, before the domain runs.</summary>
    /// <param name="backlog">Gets the output.</param>
    /// <param name="log">Gets the output too; null for none.</param>
    public void OpenConsole(ConsoleBacklog backlog, ConsoleLog? log)
    {
        Backlog = backlog;
        _console = new ConsoleBackEnd(backlog, log);
        _console.Connect(new HeldFrame(Domain.Memory, Result.ConsoleRingFrame), _consolePort!.Notify);
    }

    /// <summary>What the console showed; null before <see cref="OpenConsole(ConsoleBacklog, ConsoleLog?)"/>.</summary>
    public ConsoleBacklog? Backlog { get; private set; }

    /// <summary>Grants that the devices of a restored domain have mapped as the guest sees it.</summary>
    public IReadOnlyList<DeviceGrants> InheritedGrants { get; private set; } = [];

    /// <summary>What the console showed before the domain was saved.</summary>
    public ReadOnlyMemory<byte> ConsoleHistory { get; internal set; }

    /// <summary>Starts the console's back end with a log and a socket for viewers.</summary>
    /// <exception cref="DomainFailureException">The socket cannot be made.</exception>
    public void OpenConsole(ConsoleSpec spec)
    {
        ConsoleBacklog backlog = new(spec.BacklogBytes);
        backlog.Append(ConsoleHistory.Span);
        OpenConsole(backlog, spec.LogPath is { } path ? new ConsoleLog(path, spec.LogRotateBytes, spec.LogRotateCount) : null);
        try
        {
            _consoleServer = new ConsoleServer(spec.SocketPath, backlog, _console!.WriteInputAsync);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or ArgumentException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"console socket {spec.SocketPath}: {e.Message}", e);
        }
    }

    /// <summary>Connects the guest's xenstore ring with xend. Once.</summary>
    /// <param name="token">What xend gave this process to show there.</param>
    /// <param name="socketPath">xend's relay socket.</param>
    public void ConnectXenStore(RelayToken token, string socketPath)
    {
        if (_storePort is { } port)
        {
            _store = new XenStoreRingPump(Domain.Memory, Result.StoreRingFrame, port.Notify, Domain.Id, token, socketPath, _storeState);
        }
    }

    /// <summary>Lets devices be attached. Once, before the domain runs.</summary>
    /// <param name="token">What xend gave this process to show.</param>
    /// <param name="socketPath">xend's relay socket, which may be away at times.</param>
    public BackEndRegistry OpenDevices(RelayToken token, string socketPath)
    {
        _backEndStore = new RelayStore(socketPath, Domain.Id, token);
        return _devices = new BackEndRegistry(_backEndStore, Domain.Id, new GuestLink(Domain, _frames, _grants!, _events));
    }

    /// <summary>Stops the vCPUs, gives console viewers the rest, and frees everything.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        Runner.Dispose();
        Limiter.Dispose();
        _alarm?.Dispose();

        // Before the memory goes: back ends read and write in it until they have ended.
        if (_devices is not null)
        {
            await _devices.DisposeAsync().ConfigureAwait(false);
            await _backEndStore!.DisposeAsync().ConfigureAwait(false);
        }

        if (_console is not null)
        {
            await _console.DisposeAsync().ConfigureAwait(false);
        }

        if (_consoleServer is not null)
        {
            await _consoleServer.DisposeAsync().ConfigureAwait(false);
        }

        if (_store is not null)
        {
            await _store.DisposeAsync().ConfigureAwait(false);
        }

        foreach (PvVcpu vcpu in Domain.Vcpus)
        {
            vcpu.Cpu.Dispose();
        }

        _engine.Dispose();
        Domain.Memory.Dispose();
    }

    /// <summary>Runs what belongs to no vCPU: a broken invariant stops this domain, loudly, and nothing else.</summary>
    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            Domain.Log.Write($"{Domain.Id}: internal error: {e}");
            Domain.Crash(null, $"internal error in the hypervisor: {e.Message}");
        }
    }

    private HostEventPort NewPort(Action onGuestSend) =>
        _events.AllocateForHost(onGuestSend) ?? throw new InvalidOperationException("no event channel in a new domain");

    /// <summary>Keeps a ring's frame from becoming a page table or leaving the domain while a back end uses it.</summary>
    private void Hold(Mfn ring)
    {
        if (!_frames.TryHold(ring.Value))
        {
            throw new InvalidOperationException($"ring {ring} was refused");
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

    /// <summary>Joins the subsystems that serve the guest.</summary>
    /// <param name="tscOffset">Added to the host's TSC for the guest.</param>
    /// <param name="systemTime">The guest's system time now, nanoseconds.</param>
    internal void Connect(ulong tscOffset, ulong systemTime)
    {
        TscOffset = tscOffset;
        _ = new MemoryHypercalls(Domain, _mmu);
        VmAssists assists = new(Domain, _mmu.Space);
        TrapHypercalls.Register(Domain);
        MultiCall.Register(Domain);
        VersionHypercalls.Register(Domain);
        PhysicalDeviceHypercalls physicalDevices = new(Domain, _frames);
        RefusedHypercalls.Register(Domain);
        _ = new ConsoleHypercalls(Domain, TimeProvider.System);
        _ = new EventChannelHypercalls(Domain, _events);
        GrantTable grants = _grants = new(Domain, _frames);
        _ = new GrantHypercalls(Domain, grants, _frames);
        DomainClock clock = new(() => GuestTsc, TimeStampCounter.Frequency, systemTime);
        DomainTimers timers = new(Domain, clock, _events, nanoseconds => _alarm?.Set(nanoseconds));
        _alarm = new AlarmClock($"{Domain.Id} timers", () => Guard(timers.Expire));
        VcpuHypercalls vcpus = new(Domain, _mmu, clock, timers, () => assists.RunStateUpdates);
        SchedulingHypercalls scheduling = new(Domain, _events, clock, timers);
        Domain.PageFaultFilter = new PageTableWriteEmulator(_mmu).TryEmulate;
        Domain.LoadRoot = (vcpu, frame) => _mmu.LoadRoot(vcpu, frame.Value, user: false) == 0;
        _parts = new DomainParts(Domain, Cpuid, _mmu, assists, _events, grants, clock, timers, vcpus, scheduling, physicalDevices);
    }

    /// <summary>Takes up the rings of a domain that was restored.</summary>
    /// <exception cref="SavedStateException">They are not where it says.</exception>
    internal void TakeUpRings(MachineHead head, RingSection rings)
    {
        _consolePort = _events.BindForHost(new EventPort(head.ConsolePort), () => _console?.GuestNotified());
        _storePort = head.StorePort == 0 ? null : _events.BindForHost(new EventPort(head.StorePort), () => _store?.GuestNotified());
        StateReader.Demand(
            _consolePort is not null && (head.StorePort == 0 || _storePort is not null), "the ports of console and xenstore do not wait for domain 0");
        StateReader.Demand(
            _frames.TryHold(head.ConsoleFrame) && _frames.TryHold(head.StoreFrame), "the rings of console and xenstore are no memory of the guest's");
        _storeState = rings.Store;
        InheritedGrants = rings.Devices;
        Parts.Clock.WriteWallClock(Domain.Memory, Domain.SharedInfoFrame.Address, DateTimeOffset.UtcNow);
        SetResult(new Mfn(head.StoreFrame), new Mfn(head.ConsoleFrame), "restored");
    }

    private void SetResult(Mfn storeRing, Mfn consoleRing, string kernel) => Result = new DomainBuildResult
    {
        StoreRingFrame = storeRing.Value,
        StoreEventPort = _storePort?.GuestPort.Value ?? 0,
        ConsoleRingFrame = consoleRing.Value,
        ConsoleEventPort = _consolePort!.GuestPort.Value,
        TotalPages = (long)_mmu.Space.TotalPages,
        KernelDescription = kernel,
    };

    private void Load(KernelImage kernel, ReadOnlyMemory<byte> ramdisk, MachineSettings settings, Action<string, string> progress)
    {
        Connect(tscOffset: 0, systemTime: 0);
        Parts.Clock.WriteWallClock(Domain.Memory, Domain.SharedInfoFrame.Address, DateTimeOffset.UtcNow);
        _consolePort = NewPort(() => _console?.GuestNotified());
        _storePort = settings.HasXenStore ? NewPort(() => _store?.GuestNotified()) : null;
        PvBuildResult built;
        try
        {
            built = new PvDomainBuilder(Domain, _mmu).Build(new PvBuildRequest(
                kernel, ramdisk, settings.CommandLine, (ulong)settings.MemoryBytes >> GuestMemory.PageShift,
                _storePort?.GuestPort ?? default, _consolePort.GuestPort));
        }
        catch (DomainBuildException e)
        {
            DomainFailureCode code = e.Error switch
            {
                DomainBuildError.MemoryTooSmall => DomainFailureCode.MemoryTooSmall,
                DomainBuildError.RamdiskTooLarge => DomainFailureCode.RamdiskTooLarge,
                _ => DomainFailureCode.NotSupported,
            };
            throw new DomainFailureException(code, e.Message, e);
        }

        if (!_grants!.TrySeed(ConsoleGrant, built.ConsoleRing) || !_grants.TrySeed(StoreGrant, built.StoreRing))
        {
            throw new InvalidOperationException("no frame for the grant table");
        }

        Hold(built.ConsoleRing);
        Hold(built.StoreRing);
        progress("page-tables", $"entry {built.Entry:x}, root mfn {built.Root.Value:x}");
        PvVcpu first = Domain.Vcpus[0];
        int error = _mmu.LoadRoot(first, built.Root.Value, user: false);
        if (error != 0)
        {
            throw new InvalidOperationException($"the initial root was refused with {error}");
        }

        InitialState.Enter(first, built.Entry, built.StackTop, built.StartInfo);
        SetResult(built.StoreRing, built.ConsoleRing, GuestFiles.Describe(kernel));
    }

    // public/grant_table.h: GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE.
    private static readonly GrantRef ConsoleGrant = new(0);
    private static readonly GrantRef StoreGrant = new(1);

    private const ulong VcpuInfoSize = 64;
    private const ulong UpcallMaskOffset = 1;
}
