using System.Runtime.Intrinsics.X86;
using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>The default engine: hot guest code is translated to host code, everything else interpreted. See docs/design/translator.md.</summary>
public sealed class TranslatorEngine : ICpuEngine
{
    /// <summary>Bytes of generated code that a domain may hold when its settings do not say.</summary>
    public const int DefaultCodeCapacity = 256 << 20;

    /// <summary>Executions of a block by the interpreter before it is translated.</summary>
    private const int DefaultThreshold = 40;

    /// <inheritdoc cref="TranslatorEngine(GuestMemory, CpuEngineSettings, int, int)"/>
    public TranslatorEngine(GuestMemory memory, CpuEngineSettings settings)
        : this(memory, settings, checked((int)(settings.CodeCacheBytes ?? DefaultCodeCapacity)), DefaultThreshold)
    {
    }

    /// <param name="memory">The domain's memory; the engine becomes its <see cref="GuestMemory.CodeWatcher"/>.</param>
    /// <param name="settings">What the domain's CPU is to be. Features outside of <see cref="Supported"/> are not executed.</param>
    /// <param name="codeCapacity">Bytes of generated code at most, a multiple of 8192.</param>
    /// <param name="threshold">Executions of a block by the interpreter before it is translated, at most 255.</param>
    /// <exception cref="NotSupportedException">The kind of guest is not implemented, or <see cref="IsSupported"/> is false.</exception>
    public TranslatorEngine(GuestMemory memory, CpuEngineSettings settings, int codeCapacity, int threshold)
    {
        if (!IsSupported)
        {
            throw new NotSupportedException("the translator needs a host CPU with BMI2 and AVX");
        }

        Interpreter = new InterpreterEngine(memory, settings);
        Threshold = threshold;
        Thunks = new Thunks();
        Cache = new TranslationCache(Interpreter.Code, Interpreter.Settings.Features, codeCapacity);
    }

    /// <summary>Whether the host's CPU has what generated code uses: BMI2 and AVX, as every x86-64-v3 CPU.</summary>
    public static bool IsSupported => Bmi2.X64.IsSupported && Avx.IsSupported;

    /// <inheritdoc/>
    public static CpuFeatures Supported => InterpreterEngine.Supported;

    /// <inheritdoc/>
    public string Name => "translator";

    /// <inheritdoc/>
    public GuestMemory Memory => Interpreter.Memory;

    /// <summary>The engine for what is not hot, not translated, or needs care.</summary>
    internal InterpreterEngine Interpreter { get; }

    internal int Threshold { get; }

    internal Thunks Thunks { get; }

    internal TranslationCache Cache { get; }

    /// <inheritdoc/>
    public VirtualCpu CreateVirtualCpu() => new TranslatorCpu(this, Interpreter);

    /// <inheritdoc/>
    public IReadOnlyList<CpuCounter> ReadCounters() =>
    [
        new(CpuCounterNames.TranslatedBlocks, CpuCounterKind.Total, Cache.BlocksTranslated),
        new(CpuCounterNames.TranslatedBlockInstructions, CpuCounterKind.Total, Cache.InstructionsTranslated),
        new(CpuCounterNames.Links, CpuCounterKind.Total, Cache.LinksMade),
        new(CpuCounterNames.TranslatedDroppedByWrites, CpuCounterKind.Total, Cache.BlocksDropped),
        new(CpuCounterNames.TranslatedDroppedByProbes, CpuCounterKind.Total, Cache.BlocksDroppedByProbes),
        new(CpuCounterNames.TranslatedFlushes, CpuCounterKind.Total, Cache.Flushes),
        new(CpuCounterNames.CodeCacheBytes, CpuCounterKind.Level, Cache.BytesUsed),
        new(CpuCounterNames.CodeCacheCapacity, CpuCounterKind.Level, Cache.Capacity),
        .. Interpreter.ReadCounters(),
    ];

    /// <inheritdoc/>
    public bool SetProbe(ulong physical) => Interpreter.SetProbe(physical);

    /// <inheritdoc/>
    public bool ClearProbe(ulong physical) => Interpreter.ClearProbe(physical);

    /// <inheritdoc/>
    public void Dispose()
    {
        Interpreter.Dispose();
        Cache.Dispose();
        Thunks.Dispose();
    }
}
