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
}
