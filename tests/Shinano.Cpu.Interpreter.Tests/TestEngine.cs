using Shinano.Memory;
#if TRANSLATOR
using Shinano.Cpu.Translator;
#endif

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>The engine under test: the suite is compiled once per engine.</summary>
public static class TestEngine
{
#if TRANSLATOR
    /// <summary>First part of the names of the counters of this engine's own blocks.</summary>
    private const string Blocks = "translated";

    /// <summary>Whether arithmetic flags that later code replaces unread are right at a fault.</summary>
    public const bool KeepsDeadFlags = false;

    /// <summary>A translator that translates everything at its first execution.</summary>
    public static ICpuEngine Create(GuestMemory memory, CpuEngineSettings settings, long codeCapacity = 1 << 24) =>
        new TranslatorEngine(memory, settings, (int)Math.Max(8192, codeCapacity / 40960 * 8192), threshold: 0);
#else
    /// <summary>First part of the names of the counters of this engine's own blocks.</summary>
    private const string Blocks = "decoded";

    /// <summary>Whether arithmetic flags that later code replaces unread are right at a fault.</summary>
    public const bool KeepsDeadFlags = true;

    public static ICpuEngine Create(GuestMemory memory, CpuEngineSettings settings, long codeCapacity = 1 << 24) =>
        new InterpreterEngine(memory, settings, codeCapacity);
#endif

    /// <summary>Blocks dropped because their bytes were written, and times that all were dropped.</summary>
    public static (long BlocksInvalidated, long Flushes) Counters(ICpuEngine engine) =>
        (Counter(engine, $"{Blocks}.dropped-by-writes"), Counter(engine, $"{Blocks}.flushes"));

    /// <summary>Blocks that the engine made of guest code for its fast execution, and those it dropped for probes.</summary>
    public static (long Made, long DroppedByProbes) BlocksOf(ICpuEngine engine) =>
        (Counter(engine, $"{Blocks}.blocks"), Counter(engine, $"{Blocks}.dropped-by-probes"));

    /// <summary>A counter of the engine by name.</summary>
    public static long Counter(ICpuEngine engine, string name) => Assert.Single(engine.ReadCounters(), counter => counter.Name == name).Value;

    /// <summary>A counter of a vCPU by name.</summary>
    public static long Counter(VirtualCpu cpu, string name) => Assert.Single(cpu.ReadCounters(), counter => counter.Name == name).Value;
}
