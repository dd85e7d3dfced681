using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.X86;
using Shinano.XenAbi;

namespace Shinano.Machine.Control;

/// <summary>The counters that <c>xenperf</c>-like tools show: hypercalls, exits, exceptions, instructions. Those that are zero are left out.</summary>
internal static class PerfCounters
{
    public static IReadOnlyList<PerfCounter> Of(PvMachine machine)
    {
        List<PerfCounter> counters = [];
        void Add(string name, long value)
        {
            if (value != 0)
            {
                counters.Add(new PerfCounter(name, value));
            }
        }

        foreach (HypercallNumber number in Enum.GetValues<HypercallNumber>())
        {
            Add($"hypercall.{number}", machine.Domain.Hypercalls.CountOf(number));
        }

        Add("hypercall.unknown", machine.Domain.Hypercalls.UnknownCount);
        Add("hypercall.unknown-operation", machine.Domain.Hypercalls.UnknownOperationCount);
        foreach (CpuExitKind kind in Enum.GetValues<CpuExitKind>())
        {
            Add($"exit.{kind}", machine.Runner.Vcpus.Sum(v => v.CountOf(kind)));
        }

        foreach (ExceptionVector vector in Enum.GetValues<ExceptionVector>())
        {
            Add($"exception.{vector}", machine.Runner.Vcpus.Sum(v => v.CountOf(vector)));
        }

        for (int i = 0; i < machine.Domain.Vcpus.Count; i++)
        {
            Add($"vcpu{i}.instructions", (long)machine.Domain.Vcpus[i].Cpu.InstructionCount);
            Add($"vcpu{i}.cpu-time-ns", machine.Runner.Vcpus[i].CpuTimeNanoseconds);
        }

        return counters;
    }
}
