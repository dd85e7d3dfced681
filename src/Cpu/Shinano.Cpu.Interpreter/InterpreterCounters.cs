namespace Shinano.Cpu.Interpreter;

/// <summary>Counters of an engine since its creation.</summary>
/// <param name="BlocksDecoded">Blocks decoded.</param>
/// <param name="OpsDecoded">Ops in them.</param>
/// <param name="BlocksInvalidated">Blocks dropped because their bytes were written.</param>
/// <param name="Flushes">Times that the whole cache was dropped.</param>
public readonly record struct InterpreterCounters(long BlocksDecoded, long OpsDecoded, long BlocksInvalidated, long Flushes);
