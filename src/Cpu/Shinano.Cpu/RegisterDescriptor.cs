namespace Shinano.Cpu;

/// <summary>One named register of <see cref="CpuState"/>.</summary>
/// <param name="Name">Lower case, as debuggers write it.</param>
/// <param name="Offset">Byte offset in the state.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Reset">Value after reset for registers of up to 8 bytes. Source: SDM 3A table 9-1.</param>
public sealed record RegisterDescriptor(string Name, int Offset, int Size, ulong Reset = 0);
