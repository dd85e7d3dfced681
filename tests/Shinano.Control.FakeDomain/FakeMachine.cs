using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Linux;
using Shinano.SavedState;
using Shinano.Storage.Pools;

namespace Shinano.Control.FakeDomain;

/// <summary>A domain without a guest.</summary>
internal sealed class FakeMachine(DomainSpec spec, FakeBehaviour behaviour, FakeConsole console) : IDomainProcess, IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<IDomainEvents> _subscribers = [];
    private readonly List<DeviceSpec> _devices = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private DomainBuildResult? _build;
    private readonly List<string> _typedAhead = [];
    private bool _paused = true;
    private bool _started;
    private readonly FakeState _state = new();
    private string _memory = behaviour.Value("memory") ?? "";
    private bool _suspended;
    private long _maxMemory = spec.MaxMemoryBytes;
    private int _performanceCalls;
    private string _name = spec.Name;
    private readonly Dictionary<int, IReadOnlyList<int>> _affinity = spec.VcpuAffinity.Index().ToDictionary(pair => pair.Index, pair => pair.Item);
    private int _cap = spec.CpuCapPercent;
    private ShutdownReason? _reason;

    public Task Ended => _ended.Task;

    public void Subscribe(IDomainEvents events)
    {
        lock (_lock)
        {
            _subscribers.Add(events);
        }
    }

    /// <summary>A line typed at the console; it waits until somebody could read it.</summary>
    public void Type(string line)
    {
        lock (_lock)
        {
            if (!_started)
            {
                _typedAhead.Add(line);
                return;
            }
        }

        if (line == "die")
        {
            Environment.FailFast("told to die");
        }

        if (Enum.TryParse(line, ignoreCase: true, out ShutdownReason reason))
        {
            ShutDown(reason);
            return;
        }

        console.Write($"{line}: not found\r\n# ");
    }

    public Task AttachDeviceAsync(DeviceSpec device, CancellationToken cancellationToken)
    {
        if (behaviour.Has("no-devices"))
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{device.Id}: told to fail");
        }

        lock (_lock)
        {
            _devices.Add(device);
        }

        return Task.CompletedTask;
    }

    public async Task DetachDeviceAsync(string kind, string id, bool force, CancellationToken cancellationToken)
    {
        if (behaviour.Has("keep-devices") && !force)
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        lock (_lock)
        {
            _devices.RemoveAll(device => device.Kind == kind && device.Id == id);
        }
    }

    public Task SuspendAsync(CancellationToken cancellationToken)
    {
        _suspended = !behaviour.Has("no-suspend");
        return _suspended ? Task.CompletedTask : throw new DomainFailureException(DomainFailureCode.WrongState, "told not to be suspended");
    }

    public Task<SaveResult> WriteStateAsync(string path, byte[] description, CancellationToken cancellationToken)
    {
        if (behaviour.Has("no-save"))
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot be written: told to fail");
        }

        using FileStream output = File.Create(path);
        SectionWriter sections = new(output);
        sections.Write(SectionKind.Description, description);
        sections.End();
        return Task.FromResult(new SaveResult(path, output.Length, 0));
    }

    public Task ResumeAsync(CancellationToken cancellationToken)
    {
        _suspended = false;
        _state.StopSending();
        return Task.CompletedTask;
    }

    public Task<PreCopyResult> BeginDepartureAsync(string socketPath, bool live, CancellationToken cancellationToken) =>
        Task.Run(() => _state.BeginSending(socketPath, live), cancellationToken);

    public Task LetGoOfHostAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<long> SendStateAsync(CancellationToken cancellationToken) => Task.Run(() => _state.SendRest(_memory), cancellationToken);

    public Task KeepAsync(CancellationToken cancellationToken)
    {
        _state.Keep();
        return Task.CompletedTask;
    }

    public Task OfferForkAsync(ForkOffer offer, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task WithdrawForkAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task ReconfigureDeviceAsync(DeviceSpec device, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task BeginFlattenAsync(string id, string volume, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopFlattenAsync(string id, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<IReadOnlyList<FlattenStatus>> GetFlattenAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<FlattenStatus>>([]);

    /// <summary>The double has no volume open: it asks the pool only.</summary>
    public async Task SnapshotVolumeAsync(string id, string snapshot, Guid guid, CancellationToken cancellationToken)
    {
        if (behaviour.Value("no-snapshot") == id)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{snapshot}: told to fail");
        }

        VolumeName name = VolumeName.ParseSnapshot(snapshot, "create snapshot");
        DirectoryPool pool = new VolumePools(ShinanoPaths.Under(Path.GetDirectoryName(spec.LogDirectory)!)).GetDirectoryPool(name, "create snapshot");
        await pool.SnapshotAsync(name, guid, cancellationToken);
        if (behaviour.Value("hang-after-snapshot") == id)
        {
            await Task.Delay(Timeout.Infinite, CancellationToken.None);
        }
    }

    public Task<IReadOnlyList<DeviceStatus>> GetDevicesAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<DeviceStatus>>(
                [.. _devices.Select(device => new DeviceStatus { Kind = device.Kind, Id = device.Id, State = 2 })]);
        }
    }

    public Task<DomainHello> HelloAsync(CancellationToken cancellationToken) => Task.FromResult(new DomainHello
    {
        ProtocolVersion = DomainControlChannel.ProtocolVersion,
        DomainId = spec.DomainId,
        Uuid = spec.Uuid,
        Name = _name,
        ProcessId = Environment.ProcessId,
    });

    public async Task<DomainBuildResult> BuildAsync(CancellationToken cancellationToken)
    {
        if (behaviour.Has("slow-build"))
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        if (behaviour.Has("die-in-build"))
        {
            Environment.Exit(9);
        }

        if (behaviour.Value("build-fail") is { } code)
        {
            throw new DomainFailureException(Enum.Parse<DomainFailureCode>(code), $"{spec.KernelPath}: told to fail");
        }

        if (spec.ArrivalSocketPath is { } arrival)
        {
            _memory = await Task.Run(() => _state.Receive(arrival), cancellationToken);
            _ = _state.LossAsync().ContinueWith(_ => _ended.TrySetResult(), TaskContinuationOptions.OnlyOnRanToCompletion);
        }

        foreach (IDomainEvents events in Subscribers())
        {
            events.Progress(new BuildProgress("kernel", $"pretended to load {spec.KernelPath}", 1_000_000));
        }

        _build = new DomainBuildResult
        {
            StoreRingFrame = 0x1234,
            StoreEventPort = 1,
            ConsoleRingFrame = 0x1235,
            ConsoleEventPort = 2,
            TotalPages = spec.MemoryBytes / 4096,
            KernelDescription = "a test double",
        };
        return _build;
    }

    public Task<DomainStatus> GetStatusAsync(CancellationToken cancellationToken) => Task.FromResult(new DomainStatus
    {
        State = _reason switch
        {
            null => _paused || _suspended ? DomainStates.Paused : DomainStates.Blocked,
            ShutdownReason.Crash => DomainStates.Shutdown | DomainStates.Crashed,
            _ => DomainStates.Shutdown,
        },
        ShutdownReason = _reason,
        Build = _build,
        Vcpus =
        [
            .. Enumerable.Range(0, spec.MaxVcpus).Select(id => new VcpuStatus
            {
                Id = id,
                State = id >= spec.Vcpus ? VcpuRunState.Offline : _paused ? VcpuRunState.Paused : VcpuRunState.Blocked,
                HostCpu = id >= spec.Vcpus ? -1 : 0,
                Affinity = _affinity.GetValueOrDefault(id, []),
                CpuTimeNanoseconds = id >= spec.Vcpus ? 0 : 1_500_000_000,
            }),
        ],
        MemoryBytes = spec.MemoryBytes,
        MaxMemoryBytes = _maxMemory,
        UptimeNanoseconds = _paused ? 0 : 90_000_000_000,
        CpuEngine = "fake",
    });

    public Task PauseAsync(CancellationToken cancellationToken)
    {
        _paused = true;
        return Task.CompletedTask;
    }

    public Task UnpauseAsync(CancellationToken cancellationToken)
    {
        _paused = false;
        foreach (IDomainEvents events in Subscribers())
        {
            events.Started();
        }

        if (!_started)
        {
            console.Write($"{behaviour.Value("say") ?? "fake console"}\r\n# ");
        }

        if (behaviour.Value("shutdown") is { } reason)
        {
            ShutDown(Enum.Parse<ShutdownReason>(reason, ignoreCase: true));
        }

        string[] ahead;
        lock (_lock)
        {
            _started = true;
            ahead = [.. _typedAhead];
            _typedAhead.Clear();
        }

        foreach (string line in ahead)
        {
            Type(line);
        }

        return Task.CompletedTask;
    }

    public async Task DestroyAsync(CancellationToken cancellationToken)
    {
        if (behaviour.Has("deaf"))
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        _ended.TrySetResult();
    }

    public Task SetMaxMemoryAsync(long bytes, CancellationToken cancellationToken)
    {
        _maxMemory = bytes;
        return Task.CompletedTask;
    }

    public Task SetCpuCapAsync(int percent, CancellationToken cancellationToken)
    {
        _cap = percent;
        return Task.CompletedTask;
    }

    public Task SetCpuAllowanceAsync(long? millionths, int milliseconds, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetAffinityAsync(int vcpu, IReadOnlyList<int> cpus, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            _affinity[vcpu] = cpus;
        }

        return Task.CompletedTask;
    }

    public Task SetNameAsync(string name, CancellationToken cancellationToken)
    {
        _name = name;
        return Task.CompletedTask;
    }

    public Task SendTriggerAsync(DomainTrigger trigger, int vcpu, CancellationToken cancellationToken)
    {
        if (trigger == DomainTrigger.Power)
        {
            ShutDown(ShutdownReason.Poweroff);
        }

        return Task.CompletedTask;
    }

    public Task DumpCoreAsync(string path, CancellationToken cancellationToken) => File.WriteAllTextAsync(path, "fake core", cancellationToken);

    public Task SendDebugKeysAsync(string keys, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<IReadOnlyList<PerfCounter>> GetPerfCountersAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<PerfCounter>>([new PerfCounter("hypercall.sched_op", 3), new PerfCounter("cap", _cap)]);

    public Task<DomainPerformance> GetPerformanceAsync(CancellationToken cancellationToken)
    {
        // Each call is a second and a thousand instructions of each vCPU later than the one before.
        int call = Interlocked.Increment(ref _performanceCalls);
        return Task.FromResult(new DomainPerformance
        {
            Version = behaviour.Has("later-version") ? DomainPerformance.CurrentVersion + 1 : DomainPerformance.CurrentVersion,
            DomainId = spec.DomainId,
            CpuEngine = "fake",
            UptimeNanoseconds = (1L + call) * 1_000_000_000,
            Engine =
            [
                new PerformanceCounter("translated.blocks", PerformanceCounterKind.Total, 100 * call),
                new PerformanceCounter("code-cache.capacity", PerformanceCounterKind.Level, spec.CodeCacheBytes ?? 0),
            ],
            Vcpus =
            [
                .. Enumerable.Range(0, spec.MaxVcpus).Select(id => new VcpuPerformance(
                    id, [new PerformanceCounter("instructions.translated", PerformanceCounterKind.Total, 1000 * call)])),
            ],
        });
    }

    public Task<string> GetHypervisorLogAsync(bool clear, CancellationToken cancellationToken) => Task.FromResult($"fake hypervisor{_memory}\nsecond line\n");

    public void Dispose() => _ended.TrySetResult();

    private IDomainEvents[] Subscribers()
    {
        lock (_lock)
        {
            return [.. _subscribers];
        }
    }

    private void ShutDown(ShutdownReason reason)
    {
        _reason = reason;
        foreach (IDomainEvents events in Subscribers())
        {
            events.ShutDown(reason);
        }
    }
}
