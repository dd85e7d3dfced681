using Shinano.Cpu;
using Shinano.Memory;

namespace Shinano.Machine;

/// <summary>Makes a domain's engine.</summary>
/// <param name="memory">The domain's machine memory.</param>
/// <param name="features">What the domain's CPU is to have.</param>
internal delegate ICpuEngine EngineFactory(GuestMemory memory, CpuFeatures features);
