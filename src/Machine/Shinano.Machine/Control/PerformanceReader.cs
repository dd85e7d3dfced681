using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Hypervisor.Traps;
using Shinano.X86;

namespace Shinano.Machine.Control;

/// <summary>Reads the counters of engine and vCPUs for <c>xm perf-stat</c>; while they run, from any thread.</summary>
internal static class PerformanceReader
{
    public static DomainPerformance Of(PvMachine machine) => new()
    {
        Version = DomainPerformance.CurrentVersion,
        DomainId = machine.Domain.Id.Value,
        CpuEngine = machine.EngineName,
        UptimeNanoseconds = (long)machine.Runner.Uptime.TotalNanoseconds,
        Engine = [.. machine.EngineCounters.Select(Counter)],
        Vcpus = [.. machine.Domain.Vcpus.Select(vcpu => new VcpuPerformance(vcpu.Id, [.. CountersOf(vcpu.Cpu, machine.Runner.Vcpus[vcpu.Id])]))],
    };

    private static IEnumerable<PerformanceCounter> CountersOf(VirtualCpu cpu, VcpuRunner runner)
    {
        yield return new PerformanceCounter("cpu-time-ns", PerformanceCounterKind.Total, runner.CpuTimeNanoseconds);
        foreach (CpuCounter counter in cpu.ReadCounters())
        {
            yield return Counter(counter);
        }

        foreach (CpuExitKind kind in Enum.GetValues<CpuExitKind>())
        {
            if (runner.CountOf(kind) is var count and not 0)
            {
                yield return new PerformanceCounter($"exit.{kind}", PerformanceCounterKind.Total, count);
            }
        }

        foreach (ExceptionVector vector in Enum.GetValues<ExceptionVector>())
        {
            if (runner.CountOf(vector) is var count and not 0)
            {
                yield return new PerformanceCounter($"exception.{vector}", PerformanceCounterKind.Total, count);
            }
        }
    }

    private static PerformanceCounter Counter(CpuCounter counter) => new(
        counter.Name, counter.Kind == CpuCounterKind.Level ? PerformanceCounterKind.Level : PerformanceCounterKind.Total, counter.Value);
}
