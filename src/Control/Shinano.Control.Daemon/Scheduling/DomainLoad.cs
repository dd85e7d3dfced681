namespace Shinano.Control.Daemon.Scheduling;

/// <summary>What the vCPUs of a domain did in an interval, as the host's kernel counted it, and what the domain is to get.</summary>
/// <param name="Id">The domain's number.</param>
/// <param name="Weight">Its share against others.</param>
/// <param name="Ceiling">Host CPUs that it can use at most: its vCPUs, or its cap.</param>
/// <param name="Cpus">Numbers of the host CPUs that it may run on; none for all.</param>
/// <param name="Run">Time on a CPU, nanoseconds over all vCPUs.</param>
/// <param name="Wait">Time ready and without a CPU, nanoseconds over all vCPUs. What its limits hold it back is not in it.</param>
internal sealed record DomainLoad(int Id, int Weight, double Ceiling, IReadOnlyList<int> Cpus, long Run, long Wait);
