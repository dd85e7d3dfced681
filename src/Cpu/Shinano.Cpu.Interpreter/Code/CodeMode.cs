namespace Shinano.Cpu.Interpreter;

/// <summary>What decoding depends on besides the bytes: part of the key of decoded code.</summary>
internal enum CodeMode : byte
{
    /// <summary>64-bit mode. The others follow with full-CPU guests: 16- and 32-bit code segments, real and virtual-8086 mode.</summary>
    Long64,
}
