namespace Shinano.Cpu.Translator;

/// <summary>What tells translations apart: the linear address, the frame that it leads to, and the mode.</summary>
internal readonly record struct BlockKey(ulong Rip, ulong Frame, TranslationMode Mode)
{
    /// <summary>One multiplication: keys are looked up whenever translated code does not know where to go on.</summary>
    public override int GetHashCode() =>
        (int)((((Frame << 13) ^ Rip ^ ((ulong)Mode.Context << 60) ^ (Mode.IsUngrouped ? 1UL << 59 : 0)) * 0x9E37_79B9_7F4A_7C15UL) >> 32);
}
