using System.Text;
using Shinano.Hypervisor;

namespace Shinano.Machine.Control;

/// <summary>Xen's debug keys, as far as they make sense for one domain; the output goes to the hypervisor's log.</summary>
internal static class DebugKeys
{
    /// <summary>Handles a key; the domain is paused for the moment that its registers are read.</summary>
    public static void Handle(PvMachine machine, char key)
    {
        switch (key)
        {
            case 'h':
                Write(machine, "'d' registers, 'q' domain, 'p' counters");
                break;
            case 'd':
                Registers(machine);
                break;
            case 'q':
                Write(machine, $"memory {machine.MemoryBytes >> 12} pages, vCPUs {machine.Domain.Vcpus.Count}, shutdown {machine.Domain.Shutdown?.ToString() ?? "no"}");
                foreach (PvVcpu vcpu in machine.Domain.Vcpus)
                {
                    Write(machine, $"v{vcpu.Id}: {vcpu.Scheduling.State}, {(vcpu.Online ? "online" : "offline")}, {(vcpu.InKernel ? "kernel" : "user")} mode");
                }

                break;
            case 'p':
                foreach (Shinano.Control.Api.Domains.PerfCounter counter in PerfCounters.Of(machine))
                {
                    Write(machine, $"{counter.Name} {counter.Value}");
                }

                break;
            default:
                Write(machine, $"no debug key '{key}'");
                break;
        }
    }

    private static void Write(PvMachine machine, string text) => machine.Domain.Log.Write(text);

    private static void Registers(PvMachine machine)
    {
        bool wasPaused = machine.Runner.IsPaused;
        machine.Runner.Pause();
        foreach (PvVcpu vcpu in machine.Domain.Vcpus)
        {
            StringBuilder line = new($"v{vcpu.Id}:");
            foreach (string name in (string[])["rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cr3"])
            {
                line.Append(' ').Append(name).Append('=').Append(vcpu.ReadRegister(name).ToString("x", null));
            }

            Write(machine, line.ToString());
        }

        if (!wasPaused)
        {
            machine.Runner.Unpause();
        }
    }
}
