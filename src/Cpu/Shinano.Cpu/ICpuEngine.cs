using Shinano.Memory;

namespace Shinano.Cpu;

/// <summary>An implementation of the CPU for one domain: what its vCPUs share (decoded or translated code) lives here.</summary>
/// <remarks>Engines know nothing of Xen or of devices.</remarks>
public interface ICpuEngine : IDisposable
{
    /// <summary>As <c>cpu_engine</c> in a configuration names it.</summary>
    string Name { get; }

    /// <summary>Feature groups that this engine can execute on this host.</summary>
    static abstract CpuFeatures Supported { get; }

    /// <summary>The domain's memory.</summary>
    GuestMemory Memory { get; }

    /// <summary>Makes a vCPU in the reset state of <see cref="RegisterTable"/>. All vCPUs are made before the first one runs.</summary>
    VirtualCpu CreateVirtualCpu();

    /// <summary>
    /// What the engine did for the domain since its creation, always the same counters in the same order. Any thread, also while vCPUs run; stops and waits for
    /// none of them. Values are of nearly the same moment, not of exactly the same.
    /// </summary>
    IReadOnlyList<CpuCounter> ReadCounters();

    /// <summary>
    /// Sets a probe: whenever a vCPU arrives at the instruction that begins at this address, and before it executes, <see cref="VirtualCpu.Run"/> returns with
    /// <see cref="CpuExitKind.Probe"/>. See there for how to go on. Any thread but one inside <see cref="VirtualCpu.Run"/>; a vCPU that is running notices at
    /// its next block boundary. Only code that holds the address is dropped and made anew.
    /// </summary>
    /// <param name="physical">
    /// Physical address of the instruction's first byte; for one that crosses a page, so, in its first page. The probe holds for every linear address that the
    /// frame is mapped at and stays with the frame, whatever becomes of its bytes, until it is cleared. A byte in the middle of an instruction is reached only
    /// by a jump there.
    /// </param>
    /// <returns>False, with nothing set, when the address is not in the domain's RAM. Setting a probe that is set changes nothing.</returns>
    bool SetProbe(ulong physical);

    /// <summary>Clears a probe. Threads as for <see cref="SetProbe"/>; a running vCPU may stop at it once more.</summary>
    /// <returns>False when there was none.</returns>
    bool ClearProbe(ulong physical);
}
