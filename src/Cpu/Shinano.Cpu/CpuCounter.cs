namespace Shinano.Cpu;

/// <summary>One counter of an engine or of a vCPU, at the moment of reading.</summary>
/// <param name="Name">One of <see cref="CpuCounterNames"/>, or a name of the engine's own in the same form.</param>
/// <param name="Kind">How the value moves.</param>
/// <param name="Value">Events, or the unit that the name says; not negative.</param>
public readonly record struct CpuCounter(string Name, CpuCounterKind Kind, long Value);
