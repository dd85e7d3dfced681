namespace Shinano.Cpu.Translator;

/// <summary>
/// What a vCPU of the translator counts, outside of emitted code. Changed by the vCPU's thread, read by any: each number is published in one store when it is
/// final, so that none ever goes down.
/// </summary>
internal sealed class TranslatorCpuCounters
{
    private ulong _translated;
    private ulong _interpreted;
    private ulong _entries;
    private ulong _countAtEntry;

    /// <summary>Translated targets that the jump cache did not have.</summary>
    public ulong JumpCacheMisses { get; set; }

    /// <summary>Look-aside misses of translated code.</summary>
    public ulong Fills { get; set; }

    /// <summary>Before translated code is entered.</summary>
    /// <param name="count">Instructions that the vCPU has completed.</param>
    public void Enter(ulong count)
    {
        _entries++;
        _countAtEntry = count;
        Publish(count);
    }

    /// <summary>After translated code was left.</summary>
    /// <param name="count">Instructions that the vCPU has completed.</param>
    public void Leave(ulong count) => Volatile.Write(ref _translated, _translated + (count - _countAtEntry));

    /// <summary>What was not translated was interpreted. Not inside translated code.</summary>
    public void Publish(ulong count) => Volatile.Write(ref _interpreted, count - _translated);

    /// <summary>The counters, in front of those that both engines have.</summary>
    public IReadOnlyList<CpuCounter> Read(IReadOnlyList<CpuCounter> interpreter) =>
    [
        new(CpuCounterNames.TranslatedInstructions, CpuCounterKind.Total, (long)Volatile.Read(ref _translated)),
        new(CpuCounterNames.InterpretedInstructions, CpuCounterKind.Total, (long)Volatile.Read(ref _interpreted)),
        new(CpuCounterNames.TranslatedEntries, CpuCounterKind.Total, (long)Volatile.Read(ref _entries)),
        new(CpuCounterNames.JumpCacheMisses, CpuCounterKind.Total, (long)JumpCacheMisses),
        new(CpuCounterNames.LookAsideFills, CpuCounterKind.Total, (long)Fills),
        .. interpreter.Where(counter => counter.Name != CpuCounterNames.InterpretedInstructions),
    ];
}
