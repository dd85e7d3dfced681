using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Tests;

/// <summary>A test double of a domain's control side: keeps state, runs no guest.</summary>
internal sealed class FakeDomainProcess(DomainSpec spec) : IDomainProcess
{
    private bool _built;
    private bool _paused = true;

    public static DomainBuildResult BuildResult { get; } = new()
    {
        StoreRingFrame = 0x1234,
        StoreEventPort = 1,
        ConsoleRingFrame = 0x1235,
        ConsoleEventPort = 2,
        TotalPages = 32768,
        KernelDescription = "fake",
    };

    public DomainSpec Spec { get; } = spec;

    public IDomainEvents Events { get; set; } = new RecordingEvents();

    public DomainFailure? BuildFailure { get; set; }

    public static DomainSpec SampleSpec(string socketPath) => new()
    {
        DomainId = 7,
        Uuid = Guid.Parse("0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11"),
        Name = "sample",
        MemoryBytes = 128L << 20,
        MaxMemoryBytes = 256L << 20,
        Vcpus = 2,
        MaxVcpus = 2,
        KernelPath = "/nonexistent/vmlinuz",
        ControlSocketPath = socketPath,
        XenStoreRelaySocketPath = "/nonexistent/relay",
        Console = new ConsoleSpec { SocketPath = "/nonexistent/console" },
        LogDirectory = "/nonexistent",
        FailurePath = "/nonexistent/failure",
    };

    public Task<DomainHello> HelloAsync(CancellationToken cancellationToken) => Task.FromResult(new DomainHello
    {
        ProtocolVersion = DomainControlChannel.ProtocolVersion,
        DomainId = Spec.DomainId,
        Uuid = Spec.Uuid,
        Name = Spec.Name,
        ProcessId = Environment.ProcessId,
    });

    public Task<DomainBuildResult> BuildAsync(CancellationToken cancellationToken)
    {
        if (BuildFailure is not null)
        {
            throw new DomainFailureException(BuildFailure);
        }

        _built = true;
        return Task.FromResult(BuildResult);
    }

    public Task<DomainStatus> GetStatusAsync(CancellationToken cancellationToken) => Task.FromResult(new DomainStatus
    {
        State = _paused ? DomainStates.Paused : DomainStates.Blocked,
        Build = _built ? BuildResult : null,
        Vcpus = [.. Enumerable.Range(0, Spec.Vcpus).Select(id => new VcpuStatus { Id = id, State = VcpuRunState.Blocked })],
        MemoryBytes = Spec.MemoryBytes,
        MaxMemoryBytes = Spec.MaxMemoryBytes,
        UptimeNanoseconds = 0,
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
        return Task.CompletedTask;
    }

    public Task DestroyAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public List<DeviceSpec> Attached { get; } = [];

    public Task AttachDeviceAsync(DeviceSpec device, CancellationToken cancellationToken)
    {
        Attached.Add(device);
        return Task.CompletedTask;
    }

    public Task DetachDeviceAsync(string kind, string id, bool force, CancellationToken cancellationToken)
    {
        Attached.RemoveAll(device => device.Kind == kind && device.Id == id);
        return Task.CompletedTask;
    }

    public Task ReconfigureDeviceAsync(DeviceSpec device, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task BeginFlattenAsync(string id, string volume, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopFlattenAsync(string id, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<IReadOnlyList<FlattenStatus>> GetFlattenAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<FlattenStatus>>([]);

    public Task SnapshotVolumeAsync(string id, string snapshot, Guid guid, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<IReadOnlyList<DeviceStatus>> GetDevicesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<DeviceStatus>>([.. Attached.Select(device => new DeviceStatus { Kind = device.Kind, Id = device.Id, State = 2 })]);

    public Task SetMaxMemoryAsync(long bytes, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetCpuCapAsync(int percent, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetCpuAllowanceAsync(long? millionths, int milliseconds, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetAffinityAsync(int vcpu, IReadOnlyList<int> cpus, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SetNameAsync(string name, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SendTriggerAsync(DomainTrigger trigger, int vcpu, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SuspendAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<SaveResult> WriteStateAsync(string path, byte[] description, CancellationToken cancellationToken) =>
        Task.FromResult(new SaveResult(path, description.Length, 0));

    public Task ResumeAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task OfferForkAsync(ForkOffer offer, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task WithdrawForkAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<PreCopyResult> BeginDepartureAsync(string socketPath, bool live, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task LetGoOfHostAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<long> SendStateAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task KeepAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task DumpCoreAsync(string path, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task SendDebugKeysAsync(string keys, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<IReadOnlyList<PerfCounter>> GetPerfCountersAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<PerfCounter>>([]);

    public DomainPerformance Performance { get; set; } = new()
    {
        Version = DomainPerformance.CurrentVersion,
        DomainId = spec.DomainId,
        CpuEngine = "fake",
        UptimeNanoseconds = 2_000_000_000,
        Engine = [new PerformanceCounter("code-cache.bytes", PerformanceCounterKind.Level, 4096)],
        Vcpus = [new VcpuPerformance(0, [new PerformanceCounter("instructions.translated", PerformanceCounterKind.Total, long.MaxValue)])],
    };

    public Task<DomainPerformance> GetPerformanceAsync(CancellationToken cancellationToken) => Task.FromResult(Performance);

    public Task<string> GetHypervisorLogAsync(bool clear, CancellationToken cancellationToken) => Task.FromResult("");
}
