namespace Shinano.Machine;

/// <summary>Which of the host's CPUs a machine may use, and how much of them.</summary>
internal static class HostCpuLimits
{
    /// <summary>Gives a machine, before it runs, what its settings say.</summary>
    public static void Apply(PvMachine machine, MachineSettings settings)
    {
        machine.Limiter.CapPercent = settings.CpuCapPercent;
        foreach ((int vcpu, IReadOnlyList<int> cpus) in settings.VcpuAffinity.Index().Take(machine.Runner.Vcpus.Count))
        {
            // Fewer host CPUs than when the domain was saved are no reason not to run it.
            if (!machine.Runner.Vcpus[vcpu].TrySetAffinity(cpus))
            {
                machine.Domain.Log.Write($"{machine.Domain.Id}v{vcpu}: the host has none of the CPUs that it is to be pinned to");
            }
        }
    }
}
