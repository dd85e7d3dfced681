namespace Shinano.Cpu.Interpreter;

/// <summary>A frame became code while vCPUs may hold write translations of it.</summary>
/// <param name="Frame">The frame.</param>
/// <param name="Snapshot">
/// Its bytes before the first instruction was decoded: a vCPU that drops its write translations compares, and so finds what it wrote meanwhile.
/// </param>
internal sealed record WriteRevocation(ulong Frame, byte[] Snapshot);
