using System.Diagnostics;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Hypervisor;
using Shinano.Hypervisor.Scheduling;
using Shinano.Hypervisor.Traps;
using Shinano.Linux;
using Shinano.Machine.Devices;
using Shinano.Machine.Migration;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine.Control;

/// <summary>What xend may ask of this domain process. Calls come on thread-pool threads and never wait for guest code other than by pausing it.</summary>
internal sealed class DomainControl(DomainSpec spec, int? vncPort, IDomainEvents events) : IDomainProcess
{
    /// <summary>A host's, at most; keeps products in 64 bits.</summary>
    private const long MostCpus = 1024;

    /// <summary>Milliseconds that an allowance may hold.</summary>
    private const int LongestAllowance = 60_000;

    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _destroyed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly DisplayWiring _displays = new(() => spec.Name, Console.Error.WriteLine);
    private readonly Suspension _suspension = new();
    private readonly Departure _departure = new();
    private StateReceiver? _receiver;

    private readonly VolumeCalls _volumes = new();
    private PvMachine? _machine;
    private DomainBuildResult? _build;
    private bool _buildTried;
    private bool _started;
    private int _destroying;
    private string _name = spec.Name;
    private long _maxMemory = spec.MaxMemoryBytes;

    /// <summary>Completes when the domain was destroyed and the process may end.</summary>
    public Task Destroyed => _destroyed.Task;

    public Task<DomainHello> HelloAsync(CancellationToken cancellationToken) => Task.FromResult(new DomainHello
    {
        ProtocolVersion = DomainControlChannel.ProtocolVersion,
        DomainId = spec.DomainId,
        Uuid = spec.Uuid,
        Name = _name,
        ProcessId = Environment.ProcessId,
    });

    public Task<DomainBuildResult> BuildAsync(CancellationToken cancellationToken) => Task.Run(BuildAsync, cancellationToken);

    public Task<DomainStatus> GetStatusAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_machine is not { } machine)
            {
                return Task.FromResult(new DomainStatus
                {
                    State = DomainStates.Paused,
                    Vcpus = [],
                    MemoryBytes = 0,
                    MaxMemoryBytes = _maxMemory,
                    UptimeNanoseconds = 0,
                    CpuEngine = spec.CpuEngine ?? EngineChoice.Default,
                });
            }

            List<VcpuStatus> vcpus = [];
            bool paused = machine.Runner.IsPaused;
            for (int i = 0; i < machine.Domain.Vcpus.Count; i++)
            {
                PvVcpu vcpu = machine.Domain.Vcpus[i];
                VcpuRunner runner = machine.Runner.Vcpus[i];
                vcpus.Add(new VcpuStatus
                {
                    Id = i,
                    State = StateOf(vcpu, paused),
                    HostCpu = vcpu.Online ? runner.HostCpu : -1,
                    CpuTimeNanoseconds = runner.CpuTimeNanoseconds,
                    ThreadId = runner.ThreadId,
                    Affinity = runner.Affinity,
                });
            }

            return Task.FromResult(new DomainStatus
            {
                State = StatesOf(machine, vcpus),
                ShutdownReason = machine.Domain.Shutdown is { } reason ? (Shinano.Control.Api.Domains.ShutdownReason)reason : null,
                Build = _build,
                Vcpus = vcpus,
                MemoryBytes = machine.MemoryBytes,
                MaxMemoryBytes = _maxMemory,
                UptimeNanoseconds = (long)machine.Runner.Uptime.TotalNanoseconds,
                CpuEngine = machine.EngineName,
                ConsoleBytesOut = machine.Console?.BytesOut ?? 0,
                ConsoleBytesIn = machine.Console?.BytesIn ?? 0,
                Devices = machine.Devices is { } devices ? DeviceCalls.Describe(devices) : [],
            });
        }
    }

    public Task PauseAsync(CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            _suspension.StayPaused();
            m.Runner.Pause();
        },
        cancellationToken);

    public Task UnpauseAsync(CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (_suspension.IsHeld)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is being saved");
            }

            if (!_started)
            {
                _started = true;
                m.ConnectXenStore(Token, spec.XenStoreRelaySocketPath);
                events.Started();
            }

            m.Runner.Unpause();
        },
        cancellationToken);

    public async Task DestroyAsync(CancellationToken cancellationToken)
    {
        PvMachine? machine;
        lock (_lock)
        {
            machine = _machine;
            _machine = null;
            _buildTried = true;
        }

        // A second call waits for the first.
        if (Interlocked.Exchange(ref _destroying, 1) != 0)
        {
            await Destroyed.WaitAsync(cancellationToken).ConfigureAwait(false);
            return;
        }

        _suspension.Withdraw();
        _suspension.Forget();
        if (machine is not null)
        {
            await Task.Run(async () => await machine.DisposeAsync().ConfigureAwait(false), CancellationToken.None).ConfigureAwait(false);
        }

        _destroyed.TrySetResult();
    }

    public Task AttachDeviceAsync(DeviceSpec device, CancellationToken cancellationToken)
    {
        IReadOnlyList<KeptGrants> inherited;
        lock (_lock)
        {
            inherited = _machine?.InheritedGrants.FirstOrDefault(one => one.Kind == device.Kind && one.Id == device.Id)?.Kept ?? [];
        }

        return DeviceCalls.AttachAsync(Devices, _displays, device, inherited, cancellationToken);
    }

    public Task DetachDeviceAsync(string kind, string id, bool force, CancellationToken cancellationToken) =>
        DeviceCalls.DetachAsync(Devices, kind, id, force, cancellationToken);

    public Task ReconfigureDeviceAsync(DeviceSpec device, CancellationToken cancellationToken) =>
        DeviceCalls.ReconfigureAsync(Devices, device, cancellationToken);

    public Task SnapshotVolumeAsync(string id, string snapshot, Guid guid, CancellationToken cancellationToken) =>
        _volumes.SnapshotAsync(Devices, id, snapshot, guid, cancellationToken);

    public Task BeginFlattenAsync(string id, string volume, CancellationToken cancellationToken) =>
        _volumes.BeginFlattenAsync(Devices, id, volume, cancellationToken);

    public Task StopFlattenAsync(string id, CancellationToken cancellationToken) => _volumes.StopFlattenAsync(Devices, id, cancellationToken);

    public Task<IReadOnlyList<FlattenStatus>> GetFlattenAsync(CancellationToken cancellationToken) => Task.FromResult(VolumeCalls.DescribeFlatten(Devices));

    public Task<IReadOnlyList<DeviceStatus>> GetDevicesAsync(CancellationToken cancellationToken) => Task.FromResult(DeviceCalls.Describe(Devices));

    public Task SetMaxMemoryAsync(long bytes, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (bytes < 0 || !m.TrySetMaximumMemory(bytes))
            {
                throw new DomainFailureException(
                    DomainFailureCode.InvalidArgument,
                    $"maximum memory of {bytes >> 20} MiB: the domain was built for at most {spec.MaxMemoryBytes >> 20} MiB");
            }

            _maxMemory = bytes;
        },
        cancellationToken);

    public Task SetCpuCapAsync(int percent, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (percent < 0 || percent > m.Domain.Vcpus.Count * 100)
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"a cap of {percent} % for {m.Domain.Vcpus.Count} vCPUs");
            }

            m.Limiter.CapPercent = percent;
        },
        cancellationToken);

    public Task SetCpuAllowanceAsync(long? millionths, int milliseconds, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (millionths is < 0 or > MostCpus * CpuBudget.OneCpu || milliseconds is < 0 or > LongestAllowance)
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"an allowance of {millionths} millionths for {milliseconds} ms");
            }

            m.Limiter.SetAllowance(millionths, TimeSpan.FromMilliseconds(milliseconds));
        },
        cancellationToken);

    public Task SetAffinityAsync(int vcpu, IReadOnlyList<int> cpus, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (vcpu < 0 || vcpu >= m.Runner.Vcpus.Count || cpus.Any(cpu => cpu is < 0 or >= ThreadAffinity.CpuLimit))
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"no vCPU {vcpu}, or CPUs that no host has");
            }

            if (!m.Runner.Vcpus[vcpu].TrySetAffinity(cpus))
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"vCPU {vcpu} cannot be pinned: the domain process may use none of these CPUs");
            }
        },
        cancellationToken);

    public Task SetNameAsync(string name, CancellationToken cancellationToken)
    {
        _name = name;
        return Task.CompletedTask;
    }

    public Task SendTriggerAsync(DomainTrigger trigger, int vcpu, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            if (trigger is not (DomainTrigger.Nmi or DomainTrigger.Reset))
            {
                throw new DomainFailureException(
                    DomainFailureCode.NotSupported, $"a paravirtual domain takes the triggers nmi and reset, not {trigger.ToString().ToLowerInvariant()}");
            }

            if (trigger == DomainTrigger.Reset)
            {
                m.Domain.RequestShutdown(Hypervisor.ShutdownReason.Reboot);
                return;
            }

            if (vcpu < 0 || vcpu >= m.Domain.Vcpus.Count)
            {
                throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"no vCPU {vcpu}: the domain has 0 to {m.Domain.Vcpus.Count - 1}");
            }

            m.Domain.Vcpus[vcpu].Traps.RaiseNmi();
            m.Domain.Vcpus[vcpu].Notify();
        },
        cancellationToken);

    public Task DumpCoreAsync(string path, CancellationToken cancellationToken) => OnMachine(m => DumpCore(m, path), cancellationToken);

    public Task SuspendAsync(CancellationToken cancellationToken)
    {
        PvMachine machine = Machine;
        return Task.Run(() => _suspension.BeginAsync(machine, cancellationToken), CancellationToken.None);
    }

    public Task<SaveResult> WriteStateAsync(string path, byte[] description, CancellationToken cancellationToken) =>
        Task.Run(() => _suspension.SaveAsync(path, description), CancellationToken.None);

    public Task<PreCopyResult> BeginDepartureAsync(string socketPath, bool live, CancellationToken cancellationToken)
    {
        PvMachine machine = Machine;
        Stopwatch clock = Stopwatch.StartNew();
        return Task.Run(
            () => _departure.Begin(
                machine,
                socketPath,
                live,
                (round, sent, left) => events.Progress(new BuildProgress(
                    "round", $"{round}: {sent >> 8} MiB sent, {left} pages changed since", (long)clock.Elapsed.TotalNanoseconds)),
                cancellationToken),
            CancellationToken.None);
    }

    public Task LetGoOfHostAsync(CancellationToken cancellationToken) => _departure.LetGoOfHostAsync(_suspension.HandOver());

    public Task<long> SendStateAsync(CancellationToken cancellationToken)
    {
        _suspension.Demand();
        return Task.Run(_departure.SendState, cancellationToken);
    }

    public Task KeepAsync(CancellationToken cancellationToken)
    {
        _receiver?.Keep();
        return Task.CompletedTask;
    }

    public async Task ResumeAsync(CancellationToken cancellationToken)
    {
        await _volumes.EndedAsync().ConfigureAwait(false);
        await _departure.ReturnAsync().ConfigureAwait(false);
        await Task.Run(_suspension.EndAsync, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Nobody is connected any more: a domain that was suspended for somebody goes on, unless a successor elsewhere may run.</summary>
    public async Task AbandonAsync()
    {
        _suspension.Withdraw();
        if (_suspension.IsHandedOver)
        {
            return;
        }

        await _volumes.EndedAsync().ConfigureAwait(false);
        _departure.Cancel();
        await Task.Run(_suspension.AbandonAsync, CancellationToken.None).ConfigureAwait(false);
    }

    public Task OfferForkAsync(ForkOffer offer, CancellationToken cancellationToken) => Task.Run(() => _suspension.Offer(offer), cancellationToken);

    public Task WithdrawForkAsync(CancellationToken cancellationToken) => Task.Run(_suspension.Withdraw, cancellationToken);

    public Task SendDebugKeysAsync(string keys, CancellationToken cancellationToken) => OnMachine(
        m =>
        {
            foreach (char key in keys)
            {
                DebugKeys.Handle(m, key);
            }
        },
        cancellationToken);

    public Task<IReadOnlyList<PerfCounter>> GetPerfCountersAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<PerfCounter>>(_machine is { } machine ? PerfCounters.Of(machine) : []);
        }
    }

    public Task<DomainPerformance> GetPerformanceAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            return Task.FromResult(_machine is { } machine ? PerformanceReader.Of(machine) : new DomainPerformance
            {
                Version = DomainPerformance.CurrentVersion,
                DomainId = spec.DomainId,
                CpuEngine = spec.CpuEngine ?? EngineChoice.Default,
                UptimeNanoseconds = 0,
                Engine = [],
                Vcpus = [],
            });
        }
    }

    public Task<string> GetHypervisorLogAsync(bool clear, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_machine is not { } machine)
            {
                return Task.FromResult("");
            }

            string log = string.Concat(machine.Domain.Log.Snapshot().Select(l => l + "\n"));
            if (clear)
            {
                machine.Domain.Log.Clear();
            }

            return Task.FromResult(log);
        }
    }

    private RelayToken Token => RelayToken.TryParse(spec.XenStoreToken) ?? RelayToken.Create();

    private PvMachine Machine
    {
        get
        {
            lock (_lock)
            {
                return _machine ?? throw new DomainFailureException(DomainFailureCode.WrongState, "the domain has not been built");
            }
        }
    }

    /// <summary>The built machine's devices. Calls on them are not made under the lock: they may wait for the guest.</summary>
    private BackEndRegistry Devices => Machine.Devices ?? throw new DomainFailureException(DomainFailureCode.WrongState, "the domain has not been built");

    private static VcpuRunState StateOf(PvVcpu vcpu, bool paused) => vcpu.Scheduling.State switch
    {
        _ when !vcpu.Online => VcpuRunState.Offline,
        RunState.Running => VcpuRunState.Running,
        RunState.Blocked => VcpuRunState.Blocked,
        RunState.Runnable => paused ? VcpuRunState.Paused : VcpuRunState.Runnable,
        _ when vcpu.Domain.Shutdown is null => VcpuRunState.Paused,
        _ => VcpuRunState.Offline,
    };

    private static DomainStates StatesOf(PvMachine machine, List<VcpuStatus> vcpus)
    {
        DomainStates states = DomainStates.None;
        if (machine.Domain.Shutdown is { } reason)
        {
            states |= DomainStates.Shutdown;
            states |= reason == Hypervisor.ShutdownReason.Crash ? DomainStates.Crashed : DomainStates.None;
        }
        else if (machine.Runner.IsPaused)
        {
            states |= DomainStates.Paused;
        }
        else if (vcpus.Exists(v => v.State == VcpuRunState.Running))
        {
            states |= DomainStates.Running;
        }
        else if (!vcpus.Exists(v => v.State == VcpuRunState.Runnable))
        {
            states |= DomainStates.Blocked;
        }

        return states;
    }

    private static void DumpCore(PvMachine machine, string path)
    {
        bool wasPaused = machine.Runner.IsPaused;
        machine.Runner.Pause();
        bool complete = false;
        bool created = false;
        try
        {
            using (FileStream output = new(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                BufferSize = 1 << 16,
            }))
            {
                created = true;
                machine.WriteCore(output);
            }

            complete = true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot write the core: {e.Message}", e);
        }
        finally
        {
            if (created && !complete)
            {
                File.Delete(path);
            }

            if (!wasPaused)
            {
                machine.Runner.Unpause();
            }
        }
    }

    private async Task<DomainBuildResult> BuildAsync()
    {
        lock (_lock)
        {
            if (_buildTried)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, "the domain has been built already");
            }

            _buildTried = true;
        }

        Stopwatch clock = Stopwatch.StartNew();
        if (spec.ArrivalSocketPath is { } arrival)
        {
            _receiver = new StateReceiver(arrival);
        }

        PvMachine machine = await PvMachine.BuildAsync(
            MachineSettings.Of(spec) with { Receiver = _receiver },
            (stage, detail) => events.Progress(new BuildProgress(stage, detail, (long)clock.Elapsed.TotalNanoseconds))).ConfigureAwait(false);
        try
        {
            machine.OpenConsole(spec.Console);
            machine.OpenDevices(Token, spec.XenStoreRelaySocketPath).Ended += events.DeviceEnded;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        if (_receiver is { } receiver)
        {
            _ = EndWithoutSenderAsync(receiver);
        }

        machine.Domain.ShutDown += reason => events.ShutDown((Shinano.Control.Api.Domains.ShutdownReason)reason);
        bool destroyed;
        lock (_lock)
        {
            destroyed = Volatile.Read(ref _destroying) != 0;
            if (!destroyed)
            {
                _machine = machine;
                return _build = machine.Result with { VncPort = vncPort };
            }
        }

        await machine.DisposeAsync().ConfigureAwait(false);
        throw new DomainFailureException(DomainFailureCode.WrongState, "the domain was destroyed while it was built");
    }

    /// <summary>A domain that came from elsewhere and was not kept is the other side's: it is not to be here.</summary>
    private async Task EndWithoutSenderAsync(StateReceiver receiver)
    {
        if (await receiver.WaitForLossAsync().ConfigureAwait(false))
        {
            await Console.Error.WriteLineAsync("shinano: the domain's sender is gone before the domain was handed over; it ends").ConfigureAwait(false);
            await DestroyAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private Task OnMachine(Action<PvMachine> action, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            lock (_lock)
            {
                if (_machine is not { } machine || _destroyed.Task.IsCompleted)
                {
                    throw new DomainFailureException(DomainFailureCode.WrongState, "the domain has not been built");
                }

                action(machine);
            }
        },
        cancellationToken);
}
