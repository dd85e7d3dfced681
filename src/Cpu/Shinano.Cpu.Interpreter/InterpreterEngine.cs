using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>The reference engine: executes guest code from a cache of decoded instructions. See docs/design/interpreter.md.</summary>
public sealed class InterpreterEngine : ICpuEngine
{
    /// <summary>Bytes of decoded code that a domain may hold.</summary>
    private const long CodeCapacity = 128L << 20;

    private readonly Lock _splitLock = new();

    /// <inheritdoc cref="InterpreterEngine(GuestMemory, CpuEngineSettings, long)"/>
    public InterpreterEngine(GuestMemory memory, CpuEngineSettings settings)
        : this(memory, settings, CodeCapacity)
    {
    }

    /// <param name="memory">The domain's memory; the engine becomes its <see cref="GuestMemory.CodeWatcher"/>.</param>
    /// <param name="settings">What the domain's CPU is to be. Features outside of <see cref="Supported"/> are not executed.</param>
    /// <param name="codeCapacity">Bytes of decoded code at which all of it is dropped.</param>
    /// <exception cref="NotSupportedException">The kind of guest is not implemented.</exception>
    internal InterpreterEngine(GuestMemory memory, CpuEngineSettings settings, long codeCapacity)
    {
        if (settings.Kind != GuestKind.Paravirtual)
        {
            throw new NotSupportedException("the interpreter runs paravirtual guests only");
        }

        Memory = memory;
        Settings = settings with { Features = settings.Features & Supported };
        Selector = new OpSelector(Settings.Features);
        Code = new CodeCache(memory, Selector, codeCapacity);
        memory.CodeWatcher = Code;
    }

    /// <inheritdoc/>
    public static CpuFeatures Supported => InstructionFeatures.Supported;

    /// <inheritdoc/>
    public string Name => "interpreter";

    /// <inheritdoc/>
    public GuestMemory Memory { get; }

    /// <summary>What the domain's CPU is; features are what is left of the wish.</summary>
    public CpuEngineSettings Settings { get; }

    internal CodeCache Code { get; }

    internal OpSelector Selector { get; }

    /// <inheritdoc/>
    public VirtualCpu CreateVirtualCpu() => new InterpreterCpu(this);

    /// <inheritdoc/>
    public IReadOnlyList<CpuCounter> ReadCounters() =>
    [
        new(CpuCounterNames.DecodedBlocks, CpuCounterKind.Total, Code.BlocksDecoded),
        new(CpuCounterNames.DecodedInstructions, CpuCounterKind.Total, Code.InstructionsDecoded),
        new(CpuCounterNames.DecodedDroppedByWrites, CpuCounterKind.Total, Code.BlocksInvalidated),
        new(CpuCounterNames.DecodedDroppedByProbes, CpuCounterKind.Total, Code.BlocksDroppedByProbes),
        new(CpuCounterNames.DecodedFlushes, CpuCounterKind.Total, Code.Flushes),
        new(CpuCounterNames.DecodedBytes, CpuCounterKind.Level, Code.Bytes),
        new(CpuCounterNames.DecodedCapacity, CpuCounterKind.Level, Code.Capacity),
        new(CpuCounterNames.Probes, CpuCounterKind.Level, Code.Probes.Count),
    ];

    /// <inheritdoc/>
    public bool SetProbe(ulong physical) => Code.Probes.Set(physical);

    /// <inheritdoc/>
    public bool ClearProbe(ulong physical) => Code.Probes.Clear(physical);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Memory.CodeWatcher == Code)
        {
            Memory.CodeWatcher = null;
        }

        Code.Dispose();
    }

    internal void EnterSplitLock() => _splitLock.Enter();

    internal void LeaveSplitLock() => _splitLock.Exit();
}
