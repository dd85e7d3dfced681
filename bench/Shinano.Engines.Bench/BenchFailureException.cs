namespace Shinano.Engines.Bench;

/// <summary>Something that the person who runs the benchmark should read: what was tried, and what went wrong.</summary>
internal sealed class BenchFailureException(string message) : Exception(message);
