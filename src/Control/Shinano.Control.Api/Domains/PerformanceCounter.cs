namespace Shinano.Control.Api.Domains;

/// <summary>One counter of a domain's engine or of one of its vCPUs, e.g. "instructions.translated". A name keeps its meaning in all versions.</summary>
/// <param name="Name">Lower-case words, parts separated by dots; behind "exit." and "exception." the kind's or vector's name.</param>
/// <param name="Kind">How the value moves.</param>
/// <param name="Value">Events, or the unit that the name ends with (bytes, ns).</param>
public sealed record PerformanceCounter(string Name, PerformanceCounterKind Kind, long Value);
