namespace Shinano.Engines.Bench;

/// <summary>Something that runs the guest program: the host, or a guest that waits for commands on its console.</summary>
internal interface ITarget : IAsyncDisposable
{
    Column Column { get; }

    /// <summary>From the start of its process to the first line of user space; null for the host.</summary>
    TimeSpan? BootTime { get; }

    /// <summary>Runs a group.</summary>
    /// <param name="group">One of <see cref="Workload"/>, or "clock".</param>
    /// <param name="percent">Of the full work.</param>
    /// <param name="cancellation">Ends the wait; the target is not usable afterwards.</param>
    /// <exception cref="BenchFailureException">It failed, ended, or took longer than the limit.</exception>
    Task<Measurement> RunAsync(string group, int percent, CancellationToken cancellation);

    /// <summary>Resident memory of the process without the guest's RAM, in bytes; null where that means nothing.</summary>
    long? MemoryAboveRam();
}
