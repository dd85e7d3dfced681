using Shinano.Memory;
#if TRANSLATOR
using Shinano.Cpu.Translator;
#endif

namespace Shinano.Cpu.Interpreter.Tests;

/// <summary>The engine under test: the suite is compiled once per engine.</summary>
public static class TestEngine
{
#if TRANSLATOR
    /// <summary>Whether arithmetic flags that later code replaces unread are right at a fault.</summary>
    public const bool KeepsDeadFlags = false;

    /// <summary>A translator that translates everything at its first execution.</summary>
    public static ICpuEngine Create(GuestMemory memory, CpuEngineSettings settings, long codeCapacity = 1 << 24) =>
        new TranslatorEngine(memory, settings, (int)Math.Max(8192, codeCapacity / 40960 * 8192), threshold: 0);

    /// <summary>Blocks dropped because their bytes were written, and times that all were dropped.</summary>
    public static (long BlocksInvalidated, long Flushes) Counters(ICpuEngine engine) =>
        (((TranslatorEngine)engine).Counters.BlocksDropped, ((TranslatorEngine)engine).Counters.Flushes);
#else
    /// <summary>Whether arithmetic flags that later code replaces unread are right at a fault.</summary>
    public const bool KeepsDeadFlags = true;

    public static ICpuEngine Create(GuestMemory memory, CpuEngineSettings settings, long codeCapacity = 1 << 24) =>
        new InterpreterEngine(memory, settings, codeCapacity);

    /// <summary>Blocks dropped because their bytes were written, and times that all were dropped.</summary>
    public static (long BlocksInvalidated, long Flushes) Counters(ICpuEngine engine) =>
        (((InterpreterEngine)engine).Counters.BlocksInvalidated, ((InterpreterEngine)engine).Counters.Flushes);
#endif
}
